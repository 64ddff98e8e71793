"""The picture of two timelines: time is shared out in full, however short a phase is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_profile import EPISODE, side

from m2bench.inspect.timeline import draw_timeline, shares

# A step of 10 ms, of which 0.002 ms, far less than a slice, belong to clip.
CUTS = [("forward", 0.0, 4.0), ("clip", 4.0, 0.002), ("other", 4.002, 5.998)]


def test_a_slice_is_shared_out_among_the_phases_in_it() -> None:
    edges = np.array([0.0, 2.0, 3.0, 5.0, 10.0, 20.0])
    found = {phase: shares(phase, CUTS, edges) for phase in ("forward", "clip", "other")}
    assert found["forward"] == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])
    assert found["clip"] == pytest.approx([0.0, 0.0, 0.001, 0.0, 0.0])
    assert sum(found.values()) == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.0])


def test_no_time_is_lost_between_slices() -> None:
    rng = np.random.default_rng(0)
    ends = np.cumsum(rng.exponential(size=1000))
    cuts = [("ab"[i % 2], float(end - length), float(length)) for i, (end, length) in
            enumerate(zip(ends, np.diff(ends, prepend=0.0), strict=True))]  # fmt: skip
    edges = np.linspace(0.0, ends[-1], 78)
    for phase in "ab":
        expected = sum(length for name, _, length in cuts if name == phase)
        assert (shares(phase, cuts, edges) * np.diff(edges)).sum() == pytest.approx(expected)


def test_both_sides_have_one_axis_of_time_and_every_phase_a_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import figure

    drawn: list[figure.Figure] = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, *args, **options: drawn.append(self))
    long = [(name, 3 * begin, 3 * length) for name, begin, length in CUTS]
    sides = side(timeline=CUTS), side(("batching",), timeline=long, episodes_per_update=32)
    draw_timeline(tmp_path / "timeline.png", *sides, EPISODE)
    whole = [axis for axis in drawn[0].axes if "close up" not in axis.get_title()]
    assert whole[0].get_xlim() == whole[1].get_xlim()
    assert whole[0].get_xlim() == (0.0, pytest.approx(30.0, rel=0.02))
    assert [label.get_text() for label in whole[0].get_yticklabels()] == ["forward", "clip", "other"]
    for axis in whole:
        for patch in axis.patches:
            assert float(np.ptp(np.asarray(patch.get_path().vertices)[:, 1])) >= 0.09 - 1e-9
    assert "one update of 32 episodes, 0.94 ms each" in whole[1].get_title()


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    sides = side(timeline=CUTS), side(("amp",), timeline=CUTS)
    assert draw_timeline(tmp_path / "nowhere" / "timeline.png", *sides, EPISODE).lost_because

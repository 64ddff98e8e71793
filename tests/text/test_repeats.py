"""What identical trials show, in words that claim no more."""

from __future__ import annotations

import math

import pytest

from m2bench.records.figure import Figure
from m2bench.text.repeats import aa_in_words, drift_in_words


@pytest.mark.parametrize(("interval", "shown"), [((0.97, 1.04), False), ((1.01, 1.2), True), ((0.8, 0.99), True)])
def test_a_drift_is_told_with_its_interval_and_whether_it_is_shown(interval: tuple[float, float], shown: bool) -> None:
    said = drift_in_words(Figure(math.sqrt(math.prod(interval)), interval))
    assert said.startswith("the speed drifted" if shown else "no drift is shown")
    assert f"[{interval[0]:.2f}, {interval[1]:.2f}]" in said


def test_what_one_in_twenty_sound_runs_does_is_no_fault() -> None:
    assert "includes 1x, as in 19 of 20 sound runs" in aa_in_words((0.99, 1.02))
    assert "excludes 1x, as in 1 of 20 sound runs" in aa_in_words((1.01, 1.03))
    assert "too few for an interval" in aa_in_words(None)

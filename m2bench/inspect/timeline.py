"""A picture of two timelines: which phase each moment of an update belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m2bench.records.description import Unit
from m2bench.records.inspected import PhaseSpan, Written
from m2bench.statistics.least_squares import Floats
from m2bench.store.files import try_to_write

from .profile_records import ProfiledSide

STEPS_SHOWN = 6  # of the environment, in the close-up
WIDTH, HEIGHT, DPI = 14.0, 8.0, 110
SLICES = 600  # of time in a panel: about as many as it has pixels
MARGIN = 0.01  # to the right of the last phase, lest it be hidden by the frame
LEAST_SHARE = 0.1  # of a lane's height, so that a phase is seen however short it is


def draw_timeline(path: Path, before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Written:
    """Draw one update of both sides, whole and close up, as PNG.

    Both sides of a column have the same axis of time.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = {"before": before, "after": after}
    phases = list(dict.fromkeys(name for side in sides.values() for name, _, _ in side.timeline))
    whole_ms = max(_end(side.timeline) for side in sides.values()) * (1 + MARGIN)
    close_ms = max(_first_steps_ms(side.timeline) for side in sides.values())
    figure, axes = pyplot.subplots(
        2, 2, figsize=(WIDTH, HEIGHT), sharex="col", sharey=True, width_ratios=(3, 2), constrained_layout=True
    )
    for (whole, close), (label, side) in zip(axes, sides.items(), strict=True):
        _draw(whole, side.timeline, phases, 0.0, whole_ms)
        whole.set_title(f"{label}: {_title(side, unit)}")
        _draw(close, side.timeline, phases, _first_forward(side.timeline), close_ms)
        close.set_title(f"{label}, close up")
    axes[1][0].set_xlabel("ms")
    axes[1][1].set_xlabel("ms from the first forward pass on")
    axes[0][0].set_yticks(range(len(phases)), phases)
    axes[0][0].set_ylim(len(phases) - 0.5, -0.5)
    figure.suptitle("How much of each moment a phase takes (height of its lane; never drawn lower than a tenth)")
    drawn = try_to_write(path, lambda: figure.savefig(path, dpi=DPI))
    pyplot.close(figure)
    return drawn


def shares(phase: str, cuts: Sequence[PhaseSpan], edges: Floats) -> Floats:
    """How much of each slice of time between the edges belongs to the phase, however short its single cuts are."""
    moments = [moment for _, begin, length in cuts for moment in (begin, begin + length)]
    spent = np.cumsum([ms for name, _, length in cuts for ms in (0.0, length if name == phase else 0.0)])
    return np.asarray(np.diff(np.interp(edges, moments, spent)) / np.diff(edges))


def _draw(axis: Any, cuts: Sequence[PhaseSpan], phases: list[str], start_ms: float, length_ms: float) -> None:
    """One lane per phase, filled as far as the phase takes the time."""
    from matplotlib import colormaps

    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    edges = np.linspace(0.0, length_ms, SLICES + 1)
    for lane, phase in enumerate(phases):
        share = shares(phase, cuts, start_ms + edges)
        height = np.where(share > 0, np.maximum(share, LEAST_SHARE), 0.0)
        bottom = lane + 0.45
        axis.stairs(bottom - 0.9 * height, edges, baseline=bottom, fill=True, color=colours[lane % len(colours)])
    axis.set_xlim(0.0, length_ms)


def _title(side: ProfiledSide, unit: Unit) -> str:
    count, end_ms = side.episodes_per_update, _end(side.timeline)
    return f"{side.name}, one update of {count} {unit.named(count)}, {end_ms / count:.2f} ms each"


def _end(cuts: Sequence[PhaseSpan]) -> float:
    _, begin, length = cuts[-1]
    return begin + length


def _forwards(cuts: Sequence[PhaseSpan]) -> list[float]:
    return [begin for name, begin, _ in cuts if name == "forward"]


def _first_forward(cuts: Sequence[PhaseSpan]) -> float:
    return next(iter(_forwards(cuts)), 0.0)


def _first_steps_ms(cuts: Sequence[PhaseSpan]) -> float:
    """From the first forward pass to that of the step after STEPS_SHOWN, or to the end."""
    forwards = _forwards(cuts)
    end = forwards[STEPS_SHOWN] if len(forwards) > STEPS_SHOWN else _end(cuts)
    return end - _first_forward(cuts)

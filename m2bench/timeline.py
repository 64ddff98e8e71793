"""A picture of two timelines: which phase each moment of a stretch of training belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .spec import combination_name

STEPS_SHOWN = 6  # of the environment, in the close-up
WIDTH, HEIGHT, DPI = 13.0, 6.5, 110

Side = dict[str, Any]


def draw_timeline(path: Path, before: Side, after: Side) -> str:
    """Draw both sides, whole and close up, as PNG; the path, or why there is no picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = {"before": before, "after": after}
    phases = list(dict.fromkeys(name for side in sides.values() for name, _, _ in side["timeline"]))
    colours = dict(zip(phases, pyplot.colormaps["tab10"].colors, strict=False))  # type: ignore[attr-defined]
    figure, axes = pyplot.subplots(2, 2, figsize=(WIDTH, HEIGHT), constrained_layout=True)
    for column, (label, side) in enumerate(sides.items()):
        cuts = side["timeline"]
        end = cuts[-1][1] + cuts[-1][2]
        name = combination_name(tuple(side["layers"]))
        _draw(axes[0][column], cuts, phases, colours, (0.0, end))
        episodes = "one episode" if side["timeline_episodes"] == 1 else f"{side['timeline_episodes']} episodes"
        axes[0][column].set_title(f"{label}: {name}, {episodes} up to the gradient")
        _draw(axes[1][column], cuts, phases, colours, _first_steps(cuts, end))
        axes[1][column].set_title("the first steps, close up")
        axes[1][column].set_xlabel("ms")
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        path.unlink(missing_ok=True)
        return f"not written: {error}"
    finally:
        pyplot.close(figure)
    return str(path)


def _draw(axis: Any, cuts: list[tuple[str, float, float]], phases: list[str], colours: Any, limits: Any) -> None:
    """One lane per phase, so that short phases are not drawn over."""
    for lane, phase in enumerate(phases):
        spans = [(begin, length) for name, begin, length in cuts if name == phase and begin <= limits[1]]
        axis.broken_barh(spans, (lane - 0.45, 0.9), facecolors=colours[phase])
    axis.set_yticks(range(len(phases)), phases)
    axis.set_ylim(len(phases) - 0.5, -0.5)
    axis.set_xlim(*limits)


def _first_steps(cuts: list[tuple[str, float, float]], end: float) -> tuple[float, float]:
    """From the first forward pass to that of the step after STEPS_SHOWN."""
    forwards = [begin for name, begin, _ in cuts if name == "forward"]
    if len(forwards) <= STEPS_SHOWN:
        return 0.0, end
    return forwards[0], forwards[STEPS_SHOWN]

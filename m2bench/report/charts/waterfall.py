"""How the layers' Shapley values multiply to the total."""

from __future__ import annotations

from matplotlib.axes import Axes

from m2bench.report.sentences import what_layers_are_worth
from m2bench.text.figures import times, times_within

from .style import GAIN, INK, LOSS, MUTED, SURFACE, Canvas, Chart, Document, NotDrawn, beside, ratio_axis, rows, span

NAME = "contributions"


def draw(summary: Document) -> Chart | NotDrawn:
    """A bar per layer from where the ones above it have got to; the last is all layers together."""
    known = [layer for layer in summary["layers"] if layer["shapley"] is not None]
    if summary["total_speedup"] is None or len(known) != len(summary["layers"]):
        return NotDrawn(NAME, "not every layer has a Shapley value that is known in this run")
    ordered = sorted(known, key=lambda layer: -layer["shapley"])
    with Canvas(1.6 + 0.42 * (len(ordered) + 2)) as canvas:
        (axis,) = canvas.axes
        rows(axis, ["baseline", *(layer["name"] for layer in ordered), "all together"])
        reached, seen = 1.0, [1.0]
        axis.plot([1.0, 1.0], [-0.32, 0.32], color=INK, linewidth=2.0)
        for row, layer in enumerate(ordered, 1):
            ends = [reached * end for end in layer["shapley_ci"] or ()]
            after = reached * layer["shapley"]
            unsure = bool(ends) and min(ends) <= reached <= max(ends)
            _bar(axis, row, reached, after, MUTED if unsure else GAIN if after >= reached else LOSS)
            if ends:
                axis.plot(ends, [row, row], color=INK, linewidth=1.2)
            axis.plot([after, after], [row + 0.32, row + 0.68], color=MUTED, linewidth=0.8)
            beside(axis, row, f"{times_within(layer, 'shapley')}{'*' * layer['model_based']}")
            reached = after
            seen += [after, *ends]
        _bar(axis, len(ordered) + 1, 1.0, summary["total_speedup"], INK)
        beside(axis, len(ordered) + 1, times_within(summary, "total_speedup"), fontweight="bold")
        ratio_axis(axis, *span([*seen, summary["total_speedup"]]))
        axis.set_xlabel("episodes/min over the baseline's (log scale)")
        return canvas.finish(
            NAME,
            _title(summary),
            "Each bar is a layer's Shapley value: its part of the total, averaged over all orders of switching the "
            "layers on. Bars multiply. The thin line is the 95 % interval; blue gains, striped orange costs, grey "
            "shows neither.",
        )


def _bar(axis: Axes, row: int, begin: float, end: float, colour: str) -> None:
    hatch = "////" if colour == LOSS else None
    axis.barh(row, end - begin, left=begin, height=0.62, facecolor=colour, hatch=hatch, edgecolor=SURFACE, linewidth=0)


def _title(summary: Document) -> str:
    worth = what_layers_are_worth(summary)
    return worth or f"All layers together make {times(summary['total_speedup'])}"

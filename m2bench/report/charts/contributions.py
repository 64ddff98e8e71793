"""How the layers' Shapley values multiply to the total."""

from __future__ import annotations

from matplotlib.axes import Axes

from m2bench.report.details import what_layers_are_worth
from m2bench.report.sentences import together
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import times, times_within
from m2bench.text.speed import Speed

from .style import GAIN, INK, LOSS, MUTED, SURFACE, Chart, NotDrawn, beside, drawing, ratio_axis, rows, span

NAME = "contributions"


def draw(summary: Summary) -> Chart | NotDrawn:
    """A bar per layer from where the ones above it have got to; the last is all layers together."""
    total = summary.total_speedup
    known = [(layer.speed.shapley, layer) for layer in summary.layers if layer.speed.shapley is not None]
    if total is None or len(known) != len(summary.layers):
        return NotDrawn(NAME, "this run does not give a Shapley value of every layer")
    in_total = [entry for entry in known if entry[1].name in summary.total_layers]
    ordered = sorted(in_total, key=lambda entry: -entry[0].value)
    with drawing(1.6 + 0.42 * (len(ordered) + 2)) as canvas:
        (axis,) = canvas.axes
        rows(axis, ["baseline", *(layer.name for _, layer in ordered), together(summary, "\n")])
        reached, seen = 1.0, [1.0]
        axis.plot([1.0, 1.0], [-0.32, 0.32], color=INK, linewidth=2.0)
        for row, (shapley, layer) in enumerate(ordered, 1):
            ends = [reached * end for end in shapley.interval or ()]
            after = reached * shapley.value
            unsure = bool(ends) and min(ends) <= reached <= max(ends)
            _bar(axis, row, reached, after, MUTED if unsure else GAIN if after >= reached else LOSS)
            if ends:
                axis.plot(ends, [row, row], color=INK, linewidth=1.2)
            axis.plot([after, after], [row + 0.32, row + 0.68], color=MUTED, linewidth=0.8)
            beside(axis, row, times_within(shapley) + ("*" if layer.speed.model_based else ""))
            reached = after
            seen += [after, *ends]
        _bar(axis, len(ordered) + 1, 1.0, total.value, INK)
        beside(axis, len(ordered) + 1, times_within(total), fontweight="bold")
        ratio_axis(axis, *span([*seen, total.value]))
        axis.set_xlabel(f"{Speed.of(summary.system).compared} over the baseline's (log scale)")
        return canvas.finish(
            NAME,
            _title(summary),
            "Each bar is a layer's Shapley value: its part of the total, averaged over all orders of switching the "
            "layers on. The bars multiply to the total. Thin line: 95 % interval. Blue: gain. Striped orange: cost. "
            "Grey: neither is shown.",
        )


def _bar(axis: Axes, row: int, begin: float, end: float, colour: str) -> None:
    hatch = "////" if colour == LOSS else None
    axis.barh(row, end - begin, left=begin, height=0.62, facecolor=colour, hatch=hatch, edgecolor=SURFACE, linewidth=0)


def _title(summary: Summary) -> str:
    together = f"All layers together: {times(summary.total_speedup and summary.total_speedup.value)}"
    return what_layers_are_worth(summary) or together

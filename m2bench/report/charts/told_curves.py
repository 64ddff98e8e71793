"""Learning without a target: the losses or returns that updates report, by units and by seconds."""

from __future__ import annotations

from typing import Any

from m2bench.records.combinations import combination_name
from m2bench.report.sentences import compared
from m2bench.summary.ablation_summary import Summary
from m2bench.text.speed import Speed

from .style import LINE_STYLES, MARKERS, SERIES, Chart, NotDrawn, drawing, log_axes_by_units_and_seconds


def draw_told(name: str, summary: Summary) -> Chart | NotDrawn:
    """A curve for the baseline, for what is recommended, and for what is best."""
    told, unit = summary.learning.told, summary.system.unit
    curves = {found.layers: found for found in summary.learning.told_curves}
    rows = {c.layers: (role, c) for role, c in compared(summary).items()}
    if summary.best is not None:
        rows.setdefault(summary.best.layers, (Speed.of(summary.system).words.best, summary.best))
    shown = [(role, c, curves[layers]) for layers, (role, c) in rows.items() if layers in curves]
    if not shown:
        return NotDrawn(name, "neither the baseline nor what is recommended reports how it learns")
    with drawing(3.8 + 0.2 * len(shown), columns=2, sharey=True) as canvas:
        by_units, by_seconds = canvas.axes
        for number, (role, c, found) in enumerate(shown):
            units, means = zip(*found.curve, strict=True)
            look: dict[str, Any] = {
                "color": SERIES[number],
                "linestyle": LINE_STYLES[number],
                "marker": MARKERS[number],
            }
            label = f"{role}: {combination_name(c.layers)}" if c.layers else role
            by_units.plot(units, means, label=label, markersize=3, **look)
            if c.episodes_per_min is not None:
                seconds = [60 * each / c.episodes_per_min.value for each in units]
                by_seconds.plot(seconds, means, markersize=3, **look)
        log_axes_by_units_and_seconds(by_units, by_seconds, unit.many)
        by_units.set_ylabel(f"{told} that the updates report")
        canvas.figure.legend(loc="outside lower left", alignment="left", fontsize=9)
        return canvas.finish(
            name,
            f"The {told} by {unit.many} and by seconds: {', '.join(role for role, *_ in shown)}",
            f"Means over trials of the {told} that the updates of the speed trials report; each point is the mean "
            f"since the one before. Left: by {unit.many}, where combinations that learn the same lie upon each other. "
            "Right: by seconds, at the speed of the combination, without its set-up.",
        )

"""Learning curves by units and by seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from m2bench.records.combinations import BASELINE, combination_name
from m2bench.records.description import Target
from m2bench.records.figure import Figure
from m2bench.report.details import soonest_line
from m2bench.summary.ablation_summary import LearningGroup, Summary
from m2bench.text.figures import digits

from .style import (
    INK,
    LINE_STYLES,
    MARKERS,
    MUTED,
    SERIES,
    Chart,
    NotDrawn,
    drawing,
    log_axes_by_units_and_seconds,
    with_layers,
)  # fmt: skip
from .told_curves import draw_told

NAME = "learning"


def draw(summary: Summary) -> Chart | NotDrawn:
    """Mean return of the seeds, on the left by units, on the right by seconds of training."""
    target = summary.learning.target
    speeds = {c.layers: c.episodes_per_min.value for c in summary.combinations if c.episodes_per_min}
    cells = [cell for cell in summary.learning.cells if cell.curve and cell.layers in speeds]
    if not cells and summary.learning.told_curves:
        return draw_told(NAME, summary)
    if target is None or not cells:
        return NotDrawn(NAME, "this run has no learning trials")
    groups, unit = sorted({cell.episodes_per_update for cell in cells}), summary.system.unit
    with drawing(4.4 + 0.2 * len(cells), columns=2, sharey=True) as canvas:
        by_episodes, by_seconds = canvas.axes
        for number, cell in enumerate(cells):
            group = groups.index(cell.episodes_per_update)
            # Curves of one group have its colour, and are told apart by their lines and markers.
            line = group + [other.episodes_per_update for other in cells[:number]].count(cell.episodes_per_update)
            label = with_layers(str(cell.episodes_per_update), cell.layers or (combination_name(BASELINE),))
            look = {
                "color": SERIES[group % len(SERIES)],
                "linestyle": LINE_STYLES[line % len(LINE_STYLES)],
                "marker": MARKERS[line % len(MARKERS)],
            }
            _draw_curve(by_episodes, cell, 1.0, look, target.value, label)
            _draw_curve(by_seconds, cell, speeds[cell.layers] / 60, look, target.value)
        baseline_s = _baseline_arrives_s(summary)
        if baseline_s is not None:
            _draw_baseline(by_seconds, baseline_s, target.value)
        for axis in canvas.axes:
            axis.axhline(target.value, color=INK, linewidth=1.0)
        log_axes_by_units_and_seconds(by_episodes, by_seconds, unit.many)
        by_episodes.set_ylabel(target.measure if target.is_told else f"return per held-out {unit.one}, %")
        by_episodes.annotate(
            "target", (0.01, target.value), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", fontsize=9, color=MUTED,
        )  # fmt: skip
        canvas.figure.legend(
            loc="outside lower left", alignment="left", fontsize=9,
            title=f"{unit.many} per update: trained combination",
        )  # fmt: skip
        return canvas.finish(NAME, _title(summary), _reading(summary, target, baseline_s is not None))


def _reading(summary: Summary, target: Target, is_baseline_marked: bool) -> str:
    """How the chart is read."""
    units = summary.system.unit.many
    what = f"{target.measure} that the updates report" if target.is_told else f"return on held-out {units}"
    at = digits(target.value) + ("" if target.is_told else " %")
    marked = (
        ". The baseline is slower than the combination that was trained in its place, so its arrival is marked "
        "separately"
    )
    return (
        f"Mean over seeds of the {what}; a seed that has reached the target, {at}, stays there. Bars on the target "
        f"line: the mean {units} to target with its 95 % interval. Left: by {units}. Right: by seconds, at the speed "
        f"of the combination that names the curve{marked if is_baseline_marked else ''}. {_distances(summary)}"
    )


def _draw_curve(
    axis: Axes, cell: LearningGroup, per_unit: float, look: Mapping[str, str], target: float, label: str = ""
) -> None:
    """A cell's curve and where it arrives, at so many episodes for each unit of the axis."""
    episodes, returns = zip(*cell.curve, strict=True)
    drawn: dict[str, Any] = {
        **look,
        "markersize": 3,
        "alpha": 0.6 if cell.apart else 1.0,
        "markerfacecolor": "none" if cell.apart else look["color"],
    }
    axis.plot([after / per_unit for after in episodes], returns, label=label or None, **drawn)
    if cell.episodes_to_target is not None:
        _draw_arrival(axis, cell.episodes_to_target, target, per_unit, look["color"])


def _distances(summary: Summary) -> str:
    """Between which curves the distance is taken that says whether a layer changes learning."""
    baseline = next(c.learning for c in summary.combinations if not c.layers)
    source = baseline.learning_trials_of
    said = "The learning table compares a layer's curve with the one without it, seed by seed"
    if source is None:
        return f"{said}."
    name = f"{baseline.episodes_per_update}: {combination_name(source)}"
    return f"{said}; the baseline's curve is {name}{', which was trained in its place' if source else ''}."


def _baseline_arrives_s(summary: Summary) -> float | None:
    """When the baseline arrives, where a faster combination of its group was trained in its place."""
    baseline = next(c.learning for c in summary.combinations if not c.layers)
    return baseline.time_to_target_s.value if baseline.learning_trials_of and baseline.time_to_target_s else None


def _draw_arrival(axis: Axes, episodes: Figure, at: float, per_unit: float, colour: str) -> None:
    """Where the seeds of a cell reach the target."""
    if episodes.interval:
        ends = [end / per_unit for end in episodes.interval]
        axis.plot(ends, [at, at], color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt", zorder=3)
    axis.plot([episodes.value / per_unit], [at], "|", color=colour, markersize=14, markeredgewidth=2.5, zorder=4)


def _draw_baseline(by_seconds: Axes, seconds: float, at: float) -> None:
    by_seconds.plot([seconds], [at], "|", color=INK, markersize=14, markeredgewidth=2.5, zorder=4)
    by_seconds.annotate(
        "baseline", (seconds, at), xytext=(0, 8), textcoords="offset points", fontsize=9, color=MUTED,
        horizontalalignment="center",
    )  # fmt: skip


def _title(summary: Summary) -> str:
    return soonest_line(summary) or "No combination has reached the learning target"

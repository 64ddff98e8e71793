"""Learning curves by episodes and by seconds."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from m2bench.records.combinations import combination_name
from m2bench.report.sentences import soonest_headline
from m2bench.text.figures import digits

from .style import INK, LINE_STYLES, MARKERS, MUTED, SERIES, Canvas, Chart, Document, NotDrawn, plain_log_ticks

NAME = "learning"


def draw(summary: Document) -> Chart | NotDrawn:
    """Mean return of the seeds, on the left by episodes, on the right by seconds of training."""
    target = summary["learning"]["target"]
    speeds = {tuple(c["layers"]): c["episodes_per_min"] for c in summary["combinations"]}
    cells = [cell for cell in summary["learning"]["cells"] if cell["curve"] and speeds.get(tuple(cell["layers"]))]
    if target is None or not cells:
        return NotDrawn(NAME, "no learning was measured in this run")
    groups = sorted({cell["episodes_per_update"] for cell in cells})
    with Canvas(4.4 + 0.2 * len(cells), columns=2, sharey=True) as canvas:
        by_episodes, by_seconds = canvas.axes
        for cell in cells:
            episodes = [after for after, _ in cell["curve"]]
            returns = [value for _, value in cell["curve"]]
            seconds = [60 * after / speeds[tuple(cell["layers"])] for after in episodes]
            group = groups.index(cell["episodes_per_update"]) % len(SERIES)
            look: dict[str, Any] = {
                "color": SERIES[group],
                "linestyle": LINE_STYLES[group],
                "marker": MARKERS[group],
                "markersize": 3,
                "alpha": 0.6 if cell["apart"] else 1.0,
                "markerfacecolor": "none" if cell["apart"] else SERIES[group],
            }
            label = f"{cell['episodes_per_update']}: {combination_name(cell['layers'])}"
            by_episodes.plot(episodes, returns, label=label, **look)
            by_seconds.plot(seconds, returns, **look)
            if cell["episodes_to_target"] is not None:
                per_second = speeds[tuple(cell["layers"])] / 60
                _draw_arrival(by_episodes, cell, target["return"], 1.0, SERIES[group])
                _draw_arrival(by_seconds, cell, target["return"], per_second, SERIES[group])
        baseline_s, stood_in_for = _baseline_arrives_s(summary), ""
        if baseline_s is not None:
            _draw_baseline(by_seconds, baseline_s, target["return"])
            stood_in_for = "; the baseline, slower than what stands for it, has a mark of its own"
        for axis, unit in ((by_episodes, "episodes"), (by_seconds, "seconds of training")):
            axis.axhline(target["return"], color=INK, linewidth=1.0)
            axis.set_xscale("log")
            low, high = axis.get_xlim()
            plain_log_ticks(axis.xaxis, low, high, most=6)
            axis.set_xlabel(f"{unit} (log scale)")
            axis.grid(visible=True, linewidth=0.6)
        by_episodes.set_ylabel("return per held-out episode, %")
        by_episodes.annotate(
            "target", (0.01, target["return"]), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", fontsize=9, color=MUTED,
        )  # fmt: skip
        canvas.figure.legend(
            loc="outside lower left", alignment="left", fontsize=9,
            title="episodes per update, and the layers that it was measured with",
        )  # fmt: skip
        return canvas.finish(
            NAME,
            _title(summary),
            "Mean over seeds of the return on episodes that training never sees; a seed that has reached the target, "
            f"{digits(target['return'])} %, stays there. Bars on the target's line: where seeds arrive, with the 95 % "
            "interval of their mean. Left counts episodes, right divides them by the speed of the layers that name the "
            f"curve{stood_in_for}. {_distances(summary)}",
        )


def _distances(summary: Document) -> str:
    """Between which curves the distance is taken that says whether a layer changes learning."""
    baseline = next(c for c in summary["combinations"] if not c["layers"])
    source = baseline["learning_trials_of"]
    said = "A layer's distance in the learning table is that of its curve from the one without it, seed by seed"
    if source is None:
        return f"{said}."
    name = f"{baseline['episodes_per_update']}: {combination_name(source)}"
    return f"{said}; the baseline's curve is {name}{', which stands for it' if source else ''}."


def _baseline_arrives_s(summary: Document) -> float | None:
    """When the baseline arrives, where a faster combination of its group was trained in its place."""
    baseline = next(c for c in summary["combinations"] if not c["layers"])
    seconds: float | None = baseline["time_to_target_s"] if baseline["learning_trials_of"] else None
    return seconds


def _draw_arrival(axis: Axes, cell: Document, at: float, per_unit: float, colour: str) -> None:
    """Where the seeds of a cell reach the target."""
    ends = [episodes / per_unit for episodes in cell["episodes_to_target_ci"] or ()]
    if ends:
        axis.plot(ends, [at, at], color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt", zorder=3)
    axis.plot(
        [cell["episodes_to_target"] / per_unit], [at], "|", color=colour, markersize=14, markeredgewidth=2.5, zorder=4
    )


def _draw_baseline(by_seconds: Axes, seconds: float, at: float) -> None:
    by_seconds.plot([seconds], [at], "|", color=INK, markersize=14, markeredgewidth=2.5, zorder=4)
    by_seconds.annotate(
        "baseline", (seconds, at), xytext=(0, 8), textcoords="offset points", fontsize=9, color=MUTED,
        horizontalalignment="center",
    )  # fmt: skip


def _title(summary: Document) -> str:
    return soonest_headline(summary) or "No combination has reached the learning target"

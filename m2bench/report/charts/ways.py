"""Ways of learning by the time to their target, a row each."""

from __future__ import annotations

from m2bench.records.figure import Figure
from m2bench.report.tables.ways import by_seconds, named
from m2bench.summary.factors_summary import FactorsSummary, Soonest
from m2bench.text.figures import is_known

from .style import BEST, GAIN, MUTED, Chart, NotDrawn, drawing, interval, plain_log_ticks, reach, rows

NAME = "ways"
ROW_HEIGHT = 0.24  # inches
MARGIN = 1.15


def draw_ways(summary: FactorsSummary, title: str) -> Chart | NotDrawn:
    """Seconds on the left, units on the right."""
    shown = [way for way in by_seconds(summary.ways) if _known(way.seconds) or _known(way.episodes)]
    if len(shown) < 2:
        return NotDrawn(NAME, "fewer than two ways of learning reached the target with every seed")
    sides = (
        ("seconds", summary.soonest_by_seconds, [way.seconds for way in shown]),
        (summary.system.unit.many, summary.soonest_by_episodes, [way.episodes for way in shown]),
    )
    with drawing(1.5 + ROW_HEIGHT * len(shown), columns=2, sharey=True) as canvas:
        for axis, (what, soonest, found) in zip(canvas.axes, sides, strict=True):
            rows(axis, [named(way.factors) for way in shown])
            figures = [figure for figure in found if figure is not None and _known(figure)]
            axis.set_xscale("log")
            for row, (way, figure) in enumerate(zip(shown, found, strict=True)):
                if figure is not None and _known(figure):
                    interval(axis, row, figure, _colour(way.factors, soonest), marker=_marker(way.factors, soonest))
            reached = reach(figures) or [1.0]
            axis.set_xlim(min(reached) / MARGIN, max(reached) * MARGIN)
            plain_log_ticks(axis.xaxis, *axis.get_xlim(), most=5)
            axis.grid(axis="x", which="major", linewidth=0.6)
            axis.set_axisbelow(True)
            axis.set_xlabel(f"{what} to the target (log scale)")
        return canvas.finish(
            NAME,
            title,
            "Mean over the seeds with its 95 % interval. Diamond: the soonest; square: not shown to take longer; "
            "circle: shown to. Intervals are wide where seeds differ, which falls on all ways alike: those are "
            "compared within seeds.",
        )


def _known(figure: Figure | None) -> bool:
    return figure is not None and is_known(figure)


def _colour(chosen: tuple[str, ...], soonest: Soonest | None) -> str:
    return {"D": BEST, "s": GAIN, "o": MUTED}[_marker(chosen, soonest)]


def _marker(chosen: tuple[str, ...], soonest: Soonest | None) -> str:
    if soonest is None:
        return "o"
    return "D" if chosen == soonest.factors else "s" if chosen in soonest.rivals else "o"

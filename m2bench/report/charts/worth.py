"""What crossed layers are worth for speed, and for the time to the target, in each way of learning."""

from __future__ import annotations

from typing import Any

from m2bench.records.figure import Figure
from m2bench.report.tables.ways import ALL_WAYS, named
from m2bench.summary.factors_summary import FactorsSummary
from m2bench.text.figures import is_known

from .style import GAIN, SERIES, SURFACE, Chart, NotDrawn, drawing, interval, ratio_axis, reach, rows, span

NAME = "worth"
ROW_HEIGHT = 0.3  # inches
APART = 0.15  # of a row, up or down


def draw_worth(summary: FactorsSummary, title: str) -> Chart | NotDrawn:
    """A row for each layer and way, in it a point for speed and one for the time to the target."""
    shown = [each for each in summary.worth if _known(each.pace) and _known(each.seconds)]
    if not shown:
        return NotDrawn(NAME, "of no layer it is known what it is worth")
    with drawing(1.9 + ROW_HEIGHT * len(shown)) as canvas:
        (axis,) = canvas.axes
        rows(axis, [f"{each.layer}, with {ALL_WAYS if each.way is None else named(each.way)}" for each in shown])
        sides: tuple[tuple[str, float, str, dict[str, Any]], ...] = (
            ("seconds per " + summary.system.unit.one, -APART, SERIES[1], {"marker": "o", "markerfacecolor": SURFACE}),
            ("seconds to the target", APART, GAIN, {"marker": "D"}),
        )
        for label, apart, colour, look in sides:
            axis.plot([], [], color=colour, label=label, **look)
            for row, each in enumerate(shown):
                figure = each.pace if apart < 0 else each.seconds
                assert figure is not None
                interval(axis, row + apart, figure, colour, **look)
        ratio_axis(axis, *span(reach([figure for each in shown for figure in (each.pace, each.seconds) if figure])))
        axis.set_xlabel("layer on over off, left of 1x is less (log scale)")
        canvas.figure.legend(loc="outside lower left", ncols=2, fontsize=9)
        return canvas.finish(
            NAME,
            title,
            "With a layer over without it, with its 95 % interval. Where the diamond lies right of the circle, the "
            "layer needs more to learn from, which takes back some of the speed.",
        )


def _known(figure: Figure | None) -> bool:
    return figure is not None and is_known(figure)

"""Speed by size, a line per place and combination."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from m2bench.summary.scale_summary import ScaleSummary
from m2bench.text.figures import is_known
from m2bench.text.speed import Speed

from .style import LINE_STYLES, MARKERS, SERIES, SURFACE, Chart, NotDrawn, drawing, plain_log_ticks

NAME = "lines"
SHADED = 0.06


def draw_lines(summary: ScaleSummary, labels: Sequence[str], title: str) -> Chart | NotDrawn:
    """A point with its interval for every size; shaded where one line overtakes another."""
    axis_setting, speed = summary.axis, Speed.of(summary.system)
    sizes = sorted({point.size for line in summary.lines for point in line.points if point.episodes_per_min})
    if axis_setting is None or len(sizes) < 2:
        return NotDrawn(NAME, "fewer than two sizes were measured")
    places = list(dict.fromkeys((line.place, *line.fixed.items()) for line in summary.lines))
    combinations = list(dict.fromkeys(line.layers for line in summary.lines))
    with drawing(5.0) as canvas:
        (axis,) = canvas.axes
        axis.set_xscale("log")
        axis.set_yscale("log")
        for line, label in zip(summary.lines, labels, strict=True):
            levels = {p.size: speed.level(p.episodes_per_min) for p in line.points}
            known = {size: level for size, level in levels.items() if level is not None and is_known(level)}
            place, layers = places.index((line.place, *line.fixed.items())), combinations.index(line.layers)
            colour = SERIES[place % len(SERIES)]
            axis.plot(
                list(known), [level.value for level in known.values()], color=colour, label=label,
                linestyle=LINE_STYLES[layers % len(LINE_STYLES)], marker=MARKERS[place % len(MARKERS)], markersize=5.5,
                linewidth=1.3, markerfacecolor=colour if layers else SURFACE,
            )  # fmt: skip
            for size, level in known.items():
                if level.interval is not None:
                    axis.plot([size] * 2, level.interval, color=colour, linewidth=1.6)
        for crossing in summary.crossings:
            axis.axvspan(crossing.low, crossing.high, alpha=SHADED, color=SERIES[0], linewidth=0)
        axis.xaxis.set_major_locator(FixedLocator(sizes))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        plain_log_ticks(axis.yaxis, *axis.get_ylim())
        axis.grid(visible=True, which="major", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xlabel(f"{axis_setting.heading} (log scale)")
        axis.set_ylabel(f"{speed.label} (log scale)")
        canvas.figure.legend(loc="outside lower center", ncols=1, fontsize=9)
        return canvas.finish(
            NAME,
            title.rstrip("."),
            "A line per place and combination, with 95 % intervals that hold for all points at once; shaded between "
            "the sizes at which a change of the lead is shown.",
        )

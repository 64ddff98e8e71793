"""Speed by the size that a sweep varies."""

from __future__ import annotations

from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from m2bench.records.combinations import combination_name
from m2bench.records.summary import Summary, Sweep
from m2bench.text.figures import times, times_within
from m2bench.text.speed import Speed

from .style import GAIN, INK, MUTED, Canvas, Chart, NotDrawn, plain_log_ticks

NAME = "environments"


def draw(summary: Summary) -> Chart | NotDrawn:
    """A point with its interval for every size that was tried."""
    sweep = summary.sweep
    rated = {size.num_envs: size.speedup for size in sweep.sizes if size.speedup} if sweep else {}
    if sweep is None or sweep.layers is None or len(rated) < 2:
        return NotDrawn(NAME, "no sweep was run (--sweep)")
    with Canvas(4.4) as canvas:
        (axis,) = canvas.axes
        axis.plot(list(rated), [speedup.value for speedup in rated.values()], "o-", color=GAIN, linewidth=1.2)
        for number, speedup in rated.items():
            if speedup.interval is not None:
                axis.plot([number] * 2, speedup.interval, color=INK, linewidth=1.6)
            axis.annotate(
                times(speedup.value), (number, speedup.value), xytext=(7, -11),
                textcoords="offset points", fontsize=9, color=MUTED,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(min(rated) / 1.3, max(rated) * 1.6)
        axis.xaxis.set_major_locator(FixedLocator(list(rated)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        plain_log_ticks(axis.yaxis, *axis.get_ylim(), "x")
        axis.grid(visible=True, which="major", linewidth=0.6)
        axis.set_xlabel(f"{sweep.unit.many} (log scale)")
        axis.set_ylabel(f"{Speed.of(summary.system).compared} over the baseline's (log scale)")
        return canvas.finish(
            NAME,
            _title(sweep),
            f"{combination_name(sweep.layers)} by number of {sweep.unit.many}, each over the baseline trials of its "
            "own block, with 95 % intervals that hold for all sizes at once.",
        )


def _title(sweep: Sweep) -> str:
    best, largest = sweep.best, sweep.sizes[-1]
    if best is None:
        return f"No number of {sweep.unit.many} could be measured"
    rivals = f"; not shown to be slower: {', '.join(map(str, sweep.rivals))}" if sweep.rivals else ""
    more = "; larger numbers were not tried" if best.num_envs == largest.num_envs else ""
    return (
        f"{best.num_envs} {sweep.unit.many} are the fastest of those tried, {times_within(best.speedup)}{rivals}{more}"
    )

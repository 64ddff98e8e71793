"""Speed by number of environments."""

from __future__ import annotations

from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from m2bench.text.figures import times, times_within

from .style import GAIN, INK, MUTED, Canvas, Chart, Document, NotDrawn, plain_log_ticks

NAME = "environments"


def draw(summary: Document) -> Chart | NotDrawn:
    """A point with its interval for every number of environments that was tried."""
    sweep = summary["sweep"]
    rated = [size for size in sweep["sizes"] if size["speedup"] is not None] if sweep else []
    if len(rated) < 2:
        return NotDrawn(NAME, "no sweep of the number of environments was run (--sweep)")
    with Canvas(4.4) as canvas:
        (axis,) = canvas.axes
        numbers, speedups = ([size[name] for size in rated] for name in ("num_envs", "speedup"))
        axis.plot(numbers, speedups, "o-", color=GAIN, linewidth=1.2)
        for size in rated:
            if size["speedup_ci"] is not None:
                axis.plot([size["num_envs"]] * 2, size["speedup_ci"], color=INK, linewidth=1.6)
            axis.annotate(
                times(size["speedup"]), (size["num_envs"], size["speedup"]), xytext=(7, -11),
                textcoords="offset points", fontsize=9, color=MUTED,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(min(numbers) / 1.3, max(numbers) * 1.6)
        axis.xaxis.set_major_locator(FixedLocator(numbers))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        plain_log_ticks(axis.yaxis, *axis.get_ylim(), "x")
        axis.grid(visible=True, which="major", linewidth=0.6)
        axis.set_xlabel("environments (log scale)")
        axis.set_ylabel("episodes/min over the baseline's (log scale)")
        return canvas.finish(
            NAME,
            _title(sweep),
            f"{'+'.join(sweep['layers'])} with other numbers of environments, each over the baselines of its own "
            "block, with 95 % intervals that hold for all of them at once.",
        )


def _title(sweep: Document) -> str:
    best, largest = sweep["best"], sweep["sizes"][-1]
    first = f"{best['num_envs']} environments are the fastest of those tried: {times_within(best, 'speedup')}"
    if sweep["rivals"]:
        first += f", not shown to be faster than {' or '.join(map(str, sweep['rivals']))}"
    return first if best["num_envs"] != largest["num_envs"] else f"{first}; more were not tried"

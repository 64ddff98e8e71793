"""Where the time of a unit goes before and after."""

from __future__ import annotations

from m2bench.records.description import Unit
from m2bench.report.sentences import compared
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import percent, times_within

from .style import COMPARED, MUTED, Chart, NotDrawn, beside, drawing, plain_log_ticks, rows, with_layers

NAME = "phases"
LEAST_MS = 1e-3  # a shorter phase is drawn at the edge


def draw(summary: Summary) -> Chart | NotDrawn:
    """Each phase's milliseconds per unit: the baseline's, and those of the recommended and fastest sets."""
    shown = compared(summary)
    if len(shown) < 2 or not all(c.usage.phase_ms_per_episode for c in shown.values()):
        return NotDrawn(NAME, "the baseline and a faster combination are not both measured")
    phases = {
        role: {name: phase.value for name, phase in (c.usage.phase_ms_per_episode or {}).items()}
        for role, c in shown.items()
    }
    before, after = list(phases.values())[:2]
    unit = summary.system.unit
    role, chosen = list(shown.items())[1]
    names = sorted(set().union(*phases.values()), key=lambda name: (-before.get(name, 0.0), name))
    with drawing(1.8 + 0.34 * len(names) + 0.2 * len(phases)) as canvas:
        (axis,) = canvas.axes
        rows(axis, names)
        axis.set_xscale("log")
        for row, name in enumerate(names):
            spent = [max(LEAST_MS, found.get(name, 0.0)) for found in phases.values()]
            axis.plot([min(spent), max(spent)], [row, row], color=MUTED, linewidth=1.4, zorder=1)
            beside(axis, row, _change(before.get(name), after.get(name)))
        for (who, found), look in zip(phases.items(), COMPARED, strict=False):
            spent = [max(LEAST_MS, found.get(name, 0.0)) for name in names]
            axis.plot(spent, range(len(names)), linestyle="none", label=with_layers(who, shown[who].layers), **look)
        low, high = axis.get_xlim()
        plain_log_ticks(axis.xaxis, low, high)
        axis.grid(axis="x", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xlabel(f"ms per {unit.one} (log scale)")
        canvas.figure.legend(loc="outside lower left", fontsize=9)
        return canvas.finish(
            NAME,
            _title(before, after, f"the {role} set ({times_within(chosen.speedup)} as fast)", unit),
            f"Beside the rows: the change from the baseline to the {role} set. Intervals are in the table. Phases are "
            "timed after the timed window, which makes them a little longer. Phases below "
            f"{LEAST_MS:g} ms are drawn at {LEAST_MS:g} ms.",
        )


def _change(before: float | None, after: float | None) -> str:
    if before and after is not None and after < LEAST_MS:
        return "to almost nothing"
    if not before or not after:
        return "only before" if before else "only after"
    ratio = float(f"{max(before / after, after / before):.2g}")  # three trials do not tell more digits
    return f"{ratio:g}x {'less' if before >= after else 'more'}"


def _title(before: dict[str, float], after: dict[str, float], other: str, unit: Unit) -> str:
    def largest(phases: dict[str, float]) -> str:
        two = sorted(phases, key=lambda name: -phases[name])[:2]
        return f"{' and '.join(two)} take {percent(sum(phases[name] for name in two) / sum(phases.values()))}"

    return f"Baseline: {largest(before)} of one {unit.one}; {other}: {largest(after)}"

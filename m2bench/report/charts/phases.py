"""Where an episode's time goes before and after."""

from __future__ import annotations

from m2bench.tables import percent, times

from .style import GAIN, INK, MUTED, SURFACE, Canvas, Chart, Document, NotDrawn, beside, plain_log_ticks, rows

NAME = "phases"
LEAST_MS = 1e-3  # a shorter phase is drawn at the edge


def draw(summary: Document) -> Chart | NotDrawn:
    """A line per phase from the baseline's milliseconds per episode to the best combination's."""
    best = summary["best"]
    baseline = next((c for c in summary["combinations"] if not c["layers"]), None)
    if best is None or baseline is None or not baseline["phase_ms_per_episode"]:
        return NotDrawn(NAME, "the baseline or the best combination has no phases")
    before, after = baseline["phase_ms_per_episode"], best["phase_ms_per_episode"]
    names = sorted({*before, *after}, key=lambda name: (-before.get(name, 0.0), name))
    with Canvas(1.7 + 0.34 * len(names)) as canvas:
        (axis,) = canvas.axes
        rows(axis, names)
        axis.set_xscale("log")
        for row, name in enumerate(names):
            spent = [max(LEAST_MS, phases.get(name, 0.0)) for phases in (before, after)]
            axis.plot(spent, [row, row], color=MUTED, linewidth=1.4, zorder=1)
            axis.plot(spent[:1], [row], "o", color=INK, markerfacecolor=SURFACE, markersize=7,
                      label=None if row else "baseline")  # fmt: skip
            axis.plot(spent[1:], [row], "o", color=GAIN, markersize=7,
                      label=None if row else "+".join(best["layers"]) or "baseline")  # fmt: skip
            beside(axis, row, _change(before.get(name), after.get(name)))
        low, high = axis.get_xlim()
        plain_log_ticks(axis.xaxis, low, high)
        axis.grid(axis="x", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xlabel("ms per episode (log scale)")
        canvas.figure.legend(loc="outside lower center", ncols=2)
        return canvas.finish(
            NAME,
            _title(before, after),
            "Open circles are the baseline, filled ones the fastest combination. Phases are cut by the clock after the "
            f"timed window, so they are longer than unwatched ones; below {LEAST_MS:g} ms they are drawn at that.",
        )


def _change(before: float | None, after: float | None) -> str:
    if before and after is not None and after < LEAST_MS:
        return "to next to nothing"
    if not before or not after:
        return "only before" if before else "only after"
    return f"{times(before / after)} less" if before >= after else f"{times(after / before)} more"


def _title(before: dict[str, float], after: dict[str, float]) -> str:
    def largest(phases: dict[str, float]) -> str:
        two = sorted(phases, key=lambda name: -phases[name])[:2]
        return f"{' and '.join(two)} take {percent(sum(phases[name] for name in two) / sum(phases.values()))}"

    shrunk = sum(before.values()) / sum(after.values())
    return f"{largest(before)} of a baseline episode; in one that is {times(shrunk)} shorter, {largest(after)}"

"""The tables of a profile: phases, operators, kernels and counts of two sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from m2bench.records.description import Unit
from m2bench.records.inspected import Spent
from m2bench.text.figures import NOTHING, digits, times
from m2bench.text.tables import Table

from .mps_log import MpsLog
from .profile_records import Predictions, ProfiledSide, ProfileFindings

OPERATORS_SHOWN = 8  # of each side, and of the change
NAME_SHOWN = 80  # characters
LEAST_MS = 0.001  # of a phase: below, it is the clock that is measured


def tables_of(found: ProfileFindings, unit: Unit) -> Iterator[Table]:
    """All tables, but for that of kernels where none was recorded."""
    before, after = found.before, found.after
    if before.phases_ms:
        yield profiled_phases_table(before, after, found.predictions, unit)
    yield operators_table(before, after, unit)
    kernels = kernels_table(before, after, unit)
    if kernels is not None:
        yield kernels
    yield counts_table(before, after, unit)


def profiled_phases_table(before: ProfiledSide, after: ProfiledSide, found: Predictions, unit: Unit) -> Table:
    """Milliseconds per unit, share and memory of each phase, and the change; of a system that has phases."""
    assert found.phases is not None
    sums = [sum(side.phases_ms.values()) for side in (before, after)]
    rows = [
        (
            name,
            *_milliseconds(before, name, sums[0]),
            *_milliseconds(after, name, sums[1]),
            _faster(*(side.phases_ms.get(name, 0.0) for side in (before, after))),
            *(digits(side.peak_memory_mb.get(name)) for side in (before, after)),
        )
        for name in dict.fromkeys((*before.phases_ms, *after.phases_ms))
    ]
    whole = [digits(side.undisturbed_ms) for side in (before, after)]
    evaluation = [digits(1e3 * side.evaluation_s) for side in (before, after)]
    rows += [
        ("sum", digits(sums[0]), "100%", digits(sums[1]), "100%", times(found.phases.value), "", ""),
        (f"one {unit.one}, timed as a whole", whole[0], "", whole[1], "", times(found.measured.value), "", ""),
        ("one evaluation, apart", evaluation[0], "", evaluation[1], "", "", "", ""),
    ]
    columns = ("before ms", "share", "after ms", "share ", "faster", "before MB", "after MB")
    sampled = ", sampled at the ends of phases" if before.memory_is_sampled else ""
    megabytes = f"MB: most allocated beyond the start{sampled}"
    return Table(
        title=f"Where the time of one {unit.one} goes: {before.name} -> {after.name} ({megabytes})",
        columns=("phase", *columns),
        rows=rows,
        numeric=frozenset(columns),
    )


def _milliseconds(side: ProfiledSide, name: str, whole: float) -> tuple[str, str]:
    value = side.phases_ms.get(name)
    return (NOTHING, NOTHING) if value is None else (f"{value:.3f}", f"{value / whole:.0%}")


def _faster(before_ms: float, after_ms: float) -> str:
    """How many times faster; nothing where there was next to nothing to begin with or in the end."""
    return NOTHING if min(before_ms, after_ms) < LEAST_MS else times(before_ms / after_ms)


def _change(before: float | None, after: float | None) -> str:
    return NOTHING if not before or not after else times(before / after)


def operators_table(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Table:
    """The operators that take most of either side, and those that change most, as torch.profiler saw them."""
    columns = ("events before", "ms before", "events after", "ms after", "change ms")
    return Table(
        title=f"Operators by their own time per {unit.one}, under torch.profiler, which slows them; nested ones count "
        "too",
        columns=("operator", *columns),
        rows=_own_times(before.operators, after.operators),
        numeric=frozenset(columns),
    )


def kernels_table(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Table | None:
    """The device's kernels and copies that take or change most; None where none was recorded."""
    if not before.kernels and not after.kernels:
        return None
    columns = ("runs before", "ms before", "runs after", "ms after", "change ms")
    return Table(
        title=f"Kernels and copies of the device by their time per {unit.one}",
        columns=("kernel", *columns),
        rows=_own_times(before.kernels, after.kernels),
        numeric=frozenset(columns),
    )


def _own_times(before: Mapping[str, Spent], after: Mapping[str, Spent]) -> list[tuple[str, ...]]:
    """Rows of those that take most time before, after, or in the change; the longest first."""
    found = {name: (before.get(name, (0.0, 0.0)), after.get(name, (0.0, 0.0))) for name in {*before, *after}}
    was, now = ({name: spent[side][1] for name, spent in found.items()} for side in (0, 1))
    ranks = (was, now, {name: abs(now[name] - was[name]) for name in found})
    chosen = {name for ms in ranks for name in sorted(ms, key=lambda name: (-ms[name], name))[:OPERATORS_SHOWN]}
    return [
        (
            shorten(name),
            *(figure for calls, ms in found[name] for figure in (_calls(calls), digits(ms))),
            f"{now[name] - was[name]:+.2f}",
        )
        for name in sorted(chosen, key=lambda name: (-max(was[name], now[name]), name))
    ]


def shorten(name: str) -> str:
    """The name of a kernel can be a page of template arguments; its two ends tell it from others."""
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN // 2]}...{name[-NAME_SHOWN // 2 :]}"


def _calls(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"


def counts_table(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Table:
    """What one unit asks of the device."""
    labels = {
        "dispatches": "operators dispatched" + (", not fused" if before.compiles or after.compiles else ""),
        "kernels": "of them computing",
        "syncs": "values read by the host",
        "copies": "copies between host and device",
        "doubles": "float64 operators",
        "flops": "matrix-product operations",
    }
    rows: list[tuple[str, ...]] = []
    for name, label in labels.items():
        counts = before.count(name), after.count(name)
        rows.append((label, *map(_calls, counts), _fewer(*counts)))
    sides = (before, after)
    for label, values in (
        ("device kernels", [sum(calls for calls, _ in side.kernels.values()) or None for side in sides]),
        ("ms of device kernels", [side.kernel_busy_ms for side in sides]),
        ("ms between kernels (launch gaps)", [side.launch_gap_ms for side in sides]),
    ):
        if values != [None, None]:
            rows.append((label, *map(digits, values), _change(*values)))
    repeat = all(side.counts_repeat for side in sides)
    same = "the same in every process" if repeat else "DIFFERENT from process to process"
    return Table(
        title=f"Counts per {unit.one} ({same})",
        columns=(f"of one {unit.one}", "before", "after", "fewer"),
        rows=rows,
        numeric=frozenset({"before", "after", "fewer"}),
    )


def _fewer(before: float, after: float) -> str:
    return "all" if before and not after else _change(before, after)


def device_log_table(name: str, log: MpsLog, unit: Unit) -> Table:
    """The device's own operations, copies and fallbacks to the CPU."""
    rows = [
        (kind, operator, digits(runs), digits(milliseconds))
        for kind, spent in (("operations", log.operations), ("fallbacks", log.fallbacks), ("copies", log.copies))
        for operator, (runs, milliseconds) in sorted(spent.items(), key=lambda item: -item[1][1])[:OPERATORS_SHOWN]
    ]
    title = f"{name}: what the device's own log says, per {unit.one}, one operation at a time"
    return Table(title, ("kind", "operator", "runs", "ms"), rows, frozenset({"runs", "ms"}))

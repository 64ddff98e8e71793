"""What a profile's figures say, in plain sentences, and how far they explain the measured change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean, stdev

from m2bench.records.description import Unit
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import Estimate
from m2bench.text.figures import digits, percent, times, times_within

from .predictions import adds_up, predictions
from .profile_records import ProfiledSide

SMALL_MS = 0.01  # 10 us: about what dispatching an operator takes, whatever it computes
WORTH_NAMING = 0.05  # of the whole change
MOST_NAMED = 3
IDLE_ARITHMETIC = 0.1  # of the peak: below, the arithmetic is not what takes the time
EXPLAINED = 0.15  # how far a prediction may lie from what was measured
MOST_OF_IT = 0.5  # how much of a change, on the log scale, an explanation of it may lack or have too much
LOADING_PROCESSES = "_MultiProcessingDataLoaderIter"  # in torch's name for waiting for them
ADDS_UP = 0.02  # how far the phases may lie from what is not watched


def explain(before: ProfiledSide, after: ProfiledSide, peak_flops: float, unit: Unit) -> list[str]:
    """Sentences, the most important first."""
    return [
        *_overall(before, after, unit),
        *_where(before, after),
        *_small_operators(before, after),
        *_dispatches(before, after, unit),
        *_kernels(before, after, unit),
        *_syncs(before, after, unit),
        *_arithmetic(before, after, peak_flops, unit),
        *_prediction(before, after, unit),
        *_cost_of_looking(before, after, unit),
    ]


def _overall(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Iterator[str]:
    spread = " and ".join(
        f"{digits(min(side.undisturbed_each_ms))} to {digits(max(side.undisturbed_each_ms))}"
        for side in (before, after)
    )
    processes, found = len(before.undisturbed_each_ms), predictions(before, after)
    yield (
        f"One {unit.one} takes {digits(before.undisturbed_ms)} ms with {before.name} and "
        f"{digits(after.undisturbed_ms)} ms with {after.name}: {times_within(found.measured)} the speed, "
        f"measured without phases or profiler ({processes} processes each: {spread})."
    )


def _where(before: ProfiledSide, after: ProfiledSide) -> Iterator[str]:
    """In which phases the change lies, or that it is not known to lie in any."""
    if not before.phases_ms:
        yield (
            "The trainer reports no phases (forward, backward, data), so these figures show where the time goes by "
            "operator, and which lines wait, but not by phase."
        )
        return
    names = dict.fromkeys((*before.phases_ms, *after.phases_ms))
    was, now = ({name: side.phases_ms.get(name, 0.0) for name in names} for side in (before, after))
    shown = sorted((n for n in names if _differs(before, after, n)), key=lambda name: -abs(now[name] - was[name]))
    if predictions(before, after).measured.shows_effect and _agree(before, after):
        whole = sum(now.values()) - sum(was.values())
        parts = [
            f"{name} {digits(was[name])} -> {digits(now[name])} ms ({(now[name] - was[name]) / whole:.0%})"
            for name in shown
            if abs(now[name] - was[name]) >= WORTH_NAMING * abs(whole)
        ]
        verb = "saved" if whole < 0 else "lost"
        yield f"The time {verb} lies in: {', '.join(parts)}." if parts else f"The time {verb} is shown in no one phase."
        return
    parts = [f"{name} {digits(was[name])} -> {digits(now[name])} ms" for name in shown[:MOST_NAMED]]
    yield "No phase stands for a change of the whole" + (
        f"; shown to differ are: {', '.join(parts)}." if parts else ", and none is shown to differ."
    )


def _differs(before: ProfiledSide, after: ProfiledSide, phase: str) -> bool:
    """Whether the phase's mean difference between the processes of a pair is shown, by a t test at 5 % for all phases
    together (Bonferroni).
    """
    sides = zip(before.phases_each_ms, after.phases_each_ms, strict=True)
    changes = [b.get(phase, 0.0) - a.get(phase, 0.0) for a, b in sides]
    if len(changes) < 2:
        return False
    error = stdev(changes) / math.sqrt(len(changes))
    reach = t_quantile(1 - 0.025 / len(before.phases_ms), len(changes) - 1)
    return bool(abs(fmean(changes)) > reach * error)


def _agree(before: ProfiledSide, after: ProfiledSide) -> bool:
    """Whether the phases and the units timed as a whole changed in the same direction."""
    found = predictions(before, after)
    return found.phases is not None and (found.phases.value - 1) * (found.measured.value - 1) > 0


def _small_operators(before: ProfiledSide, after: ProfiledSide) -> Iterator[str]:
    small = [(calls, ms) for calls, ms in before.operators.values() if calls and ms / calls < SMALL_MS]
    total = sum(ms for _, ms in before.operators.values())
    if not total or not small:
        return
    calls, share = sum(calls for calls, _ in small), sum(ms for _, ms in small) / total
    yield (
        f"{percent(share)} of the operators' time with {before.name}, under torch.profiler, goes into {calls:,.0f} "
        "events of less than 10 us on average, next to which what they compute hardly matters (an operator that calls "
        "others is an event beside theirs: there are more events than dispatches)."
    )


def _dispatches(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Iterator[str]:
    was, now = before.count("dispatches"), after.count("dispatches")
    if not (was and now):
        yield f"Operators dispatched by torch per {unit.one}: {was:,.0f} before, {now:,.0f} after."
        return
    each = [1e3 * side.undisturbed_ms / side.count("dispatches") for side in (before, after)]
    uncounted = _uncounted(before, after)
    if abs(now / was - 1) < WORTH_NAMING:
        yield f"Both dispatch about the same number of operators per {unit.one} ({was:,.0f} and {now:,.0f}).{uncounted}"
        return
    relation = f"divides that by {digits(was / now)}" if now < was else f"multiplies that by {digits(now / was)}"
    yield (
        f"One {unit.one} with {before.name} dispatches {was:,.0f} operators; {after.name} {relation} ({now:,.0f}). "
        f"Divided among them, its time is {digits(each[0])} us each before and {digits(each[1])} us after."
        f"{uncounted}"
    )


def _uncounted(before: ProfiledSide, after: ProfiledSide) -> str:
    """What is not among the operators that are counted."""
    what = ["Operators that the compiler fused"] if before.compiles or after.compiles else []
    if any(LOADING_PROCESSES in operator for operator in {*before.operators, *after.operators}):
        what.append("Those of data-loading processes")
    return "".join(f" {each} are not counted." for each in what)


def _kernels(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Iterator[str]:
    busy = [side.kernel_busy_ms for side in (before, after)]
    gaps = [side.launch_gap_ms for side in (before, after)]
    if None not in busy:
        yield (
            f"The device computes or copies for {digits(busy[0])} -> {digits(busy[1])} ms of one {unit.one}, and waits "
            f"{digits(gaps[0])} -> {digits(gaps[1])} ms between kernels for the next launch, under torch.profiler."
        )


def _syncs(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Iterator[str]:
    for name, what in (("syncs", "values that the host reads"), ("copies", "copies"), ("doubles", "float64 operators")):
        was, now = before.count(name), after.count(name)
        if was == now == 0:
            continue
        old, new = (side.counts.lines[name] for side in (before, after))
        lines = sorted({*old, *new}, key=lambda line: (-max(old.get(line, 0), new.get(line, 0)), line))
        places = [f"{line} ({old.get(line, 0):,.3g} -> {new.get(line, 0):,.3g})" for line in lines[:MOST_NAMED]]
        more = len(lines) - MOST_NAMED
        where = "; ".join(places) + (f" and {more} more line{'s' * (more > 1)}" if more > 0 else "")
        yield f"{what[0].upper()}{what[1:]}: {was:,.4g} per {unit.one} before, {now:,.4g} after, at {where}."


def _arithmetic(before: ProfiledSide, after: ProfiledSide, peak_flops: float, unit: Unit) -> Iterator[str]:
    used = [1e3 * side.count("flops") / side.undisturbed_ms / peak_flops for side in (before, after)]
    megaflops = [side.count("flops") / 1e6 for side in (before, after)]
    verdict = (
        "the arithmetic is not what takes the time in either"
        if max(used) < IDLE_ARITHMETIC
        else "the arithmetic takes a good part of the time only where that share is large"
    )
    yield (
        f"Matrix products: {digits(megaflops[0])} -> {digits(megaflops[1])} MFLOP per {unit.one}, at {used[0]:.1%} -> "
        f"{used[1]:.1%} of the highest float32 rate measured on this machine ({peak_flops / 1e9:,.0f} GFLOP/s; "
        f"products of a lower precision are compared with it as well): {verdict}."
    )


def _prediction(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Iterator[str]:
    found = predictions(before, after)
    was, now = times_within(found.measured), times_within(found.phases)
    of_operators = []
    if found.dispatches is not None and found.measured.shows_effect:
        of_operators = [
            f"The number of operators alone would give {times(found.dispatches)}: "
            f"{_verdict(found.measured.value, found.dispatches)}."
        ]
    if found.phases is None:
        yield from of_operators
        return
    remainder = f"the remainder is {times_within(found.remainder)}"
    if not found.measured.shows_effect:
        yield (
            f"No change of the time per {unit.one} is shown here ({was}), so there is nothing to explain; the phases "
            f"add up to {now}, and {remainder}."
        )
        return
    of_phases = (
        f"The phases add up to {now} and {was} was measured: {_verdict(found.measured.value, found.phases.value)}; "
        f"{remainder}."
    )
    yield " ".join([of_phases, *of_operators])


def _verdict(measured: float, predicted: float) -> str:
    """Whether a prediction explains the change: it must come near it, and hold most of it and not much more."""
    share = math.log(predicted) / math.log(measured)
    near = abs(measured / predicted - 1) <= EXPLAINED and abs(share - 1) <= MOST_OF_IT
    return f"{share:.0%} of the change on the log scale, {'explained' if near else 'NOT explained by them'}"


def _cost_of_looking(before: ProfiledSide, after: ProfiledSide, unit: Unit) -> Iterator[str]:
    profiler = " and ".join(f"{side.profiler_overhead:+.0%}" for side in (before, after))
    if not before.phases_ms:
        yield f"torch.profiler changes the time of one {unit.one} by {profiler} (before and after). It feeds no speed."
        return
    found = [adds_up(side) for side in (before, after)]
    sums = " and ".join(times_within(ratio.figure) for ratio in found if ratio is not None)
    yield (
        f"The phases, without what timing them takes, add up to {sums} of one {unit.one} that is timed as a whole "
        f"(before and after): {_nearness([ratio for ratio in found if ratio is not None])} {ADDS_UP:.0%}. "
        f"torch.profiler changes its time by {profiler}. Neither feeds the speed."
    )


def _nearness(sums: list[Estimate]) -> str:
    if all(abs(ratio.ratio - 1) <= ADDS_UP for ratio in sums):
        return "within"
    ends = [ratio.interval for ratio in sums if ratio.interval is not None]
    is_off = any(low > 1 + ADDS_UP or high < 1 - ADDS_UP for low, high in ends)
    return "NOT within" if is_off else "not shown to be within"

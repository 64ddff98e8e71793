"""What a profile's figures say, in plain sentences, and how far they explain the measured change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .spec import combination_name
from .tables import digits, percent, times

SMALL_MS = 0.01  # 10 us: about what dispatching an operator takes, whatever it computes
WORTH_NAMING = 0.05  # of the whole change
LITTLE, MOST_NAMED = 0.05, 3  # a change of the whole by less than this is next to nothing
IDLE_ARITHMETIC = 0.1  # of the peak: below, the arithmetic is not what takes the time
EXPLAINED = 0.15  # how far a prediction may lie from what was measured

Side = dict[str, Any]


def predictions(before: Side, after: Side) -> dict[str, float]:
    """Ratios of time per episode: as measured undisturbed, as the sums of the watched phases have it, and as the
    numbers of dispatched operators would have it, did each take as long as before.
    """
    return {
        "measured": before["undisturbed_ms"] / after["undisturbed_ms"],
        "phases": sum(before["phases_ms"].values()) / sum(after["phases_ms"].values()),
        "dispatches": _count(before, "dispatches") / _count(after, "dispatches"),
    }


def explain(before: Side, after: Side, peak_flops: float) -> list[str]:
    """Sentences, the most important first."""
    return [
        *_overall(before, after),
        *_where(before, after),
        *_small_operators(before, after),
        *_dispatches(before, after),
        *_kernels(before, after),
        *_syncs(before, after),
        *_arithmetic(before, after, peak_flops),
        *_prediction(before, after),
        *_cost_of_looking(before, after),
    ]


def _name(side: Side) -> str:
    return combination_name(tuple(side["layers"]))


def _count(side: Side, name: str) -> float:
    return float(side["counts"]["per_episode"][name])


def _overall(before: Side, after: Side) -> Iterator[str]:
    spread = " and ".join(
        f"{digits(min(side['undisturbed_each_ms']))} to {digits(max(side['undisturbed_each_ms']))}"
        for side in (before, after)
    )
    processes = len(before["undisturbed_each_ms"])
    yield (
        f"An episode takes {digits(before['undisturbed_ms'])} ms with {_name(before)} and "
        f"{digits(after['undisturbed_ms'])} ms with {_name(after)}: {times(predictions(before, after)['measured'])} "
        f"the speed, measured while nothing was watched ({processes} processes each: {spread})."
    )


def _where(before: Side, after: Side) -> Iterator[str]:
    names = dict.fromkeys((*before["phases_ms"], *after["phases_ms"]))
    was, now = ({name: side["phases_ms"].get(name, 0.0) for name in names} for side in (before, after))
    whole = sum(now.values()) - sum(was.values())
    # Shares of next to nothing, or of a change that was not measured, say nothing: then the phases are named that
    # change most, up or down.
    little = abs(whole) < LITTLE * sum(was.values()) or not _agree(before, after)
    base = max(abs(whole), LITTLE * sum(was.values()))
    parts = [
        f"{name} {digits(was[name])} -> {digits(now[name])} ms"
        + ("" if little else f" ({(now[name] - was[name]) / whole:.0%})")
        for name in sorted(names, key=lambda name: -abs(now[name] - was[name]))
        if abs(now[name] - was[name]) >= WORTH_NAMING * base
    ]
    if parts and little:
        yield f"No phase stands for the change; those that differ most: {', '.join(parts[:MOST_NAMED])}."
    elif parts:
        yield f"The time {'saved' if whole < 0 else 'lost'} lies in: {', '.join(parts)}."


def _agree(before: Side, after: Side) -> bool:
    """Whether the watched phases and the undisturbed episodes changed in the same direction."""
    found = predictions(before, after)
    return (found["phases"] - 1) * (found["measured"] - 1) > 0


def scatter(before: Side, after: Side) -> float:
    """How far apart identical unwatched processes lie, as a ratio above 0: a change that is smaller was not seen."""
    spreads = (max(side["undisturbed_each_ms"]) / min(side["undisturbed_each_ms"]) - 1 for side in (before, after))
    return float(max(spreads))


def _small_operators(before: Side, after: Side) -> Iterator[str]:
    small = [(calls, ms) for calls, ms in before["operators"].values() if calls and ms / calls < SMALL_MS]
    total = sum(ms for _, ms in before["operators"].values())
    if not total or not small:
        return
    calls, share = sum(calls for calls, _ in small), sum(ms for _, ms in small) / total
    yield (
        f"{percent(share)} of the operators' time with {_name(before)}, under torch.profiler, goes into {calls:,.0f} "
        "events of less than 10 us on average, next to which what they compute hardly matters (an operator that calls "
        "others is an event beside theirs: there are more events than dispatches)."
    )


def _dispatches(before: Side, after: Side) -> Iterator[str]:
    was, now = _count(before, "dispatches"), _count(after, "dispatches")
    each = [1e3 * side["undisturbed_ms"] / _count(side, "dispatches") for side in (before, after)]
    compiled = before["compiles"] or after["compiles"]
    uncounted = " What the compiler has fused is not among them." if compiled else ""
    if abs(now / was - 1) < WORTH_NAMING:
        yield f"Both dispatch about the same number of operators per episode ({was:,.0f} and {now:,.0f}).{uncounted}"
        return
    relation = f"divides that by {digits(was / now)}" if now < was else f"multiplies that by {digits(now / was)}"
    yield (
        f"An episode with {_name(before)} dispatches {was:,.0f} operators; {_name(after)} {relation} ({now:,.0f}). "
        f"Divided among them, an episode's time is {digits(each[0])} us each before and {digits(each[1])} us after."
        f"{uncounted}"
    )


def _kernels(before: Side, after: Side) -> Iterator[str]:
    busy, gaps = ([side[name] for side in (before, after)] for name in ("kernel_busy_ms", "launch_gap_ms"))
    if None not in busy:
        yield (
            f"The device computes or copies for {digits(busy[0])} -> {digits(busy[1])} ms of an episode, and waits "
            f"{digits(gaps[0])} -> {digits(gaps[1])} ms between kernels for the next launch, under torch.profiler."
        )


def _syncs(before: Side, after: Side) -> Iterator[str]:
    for name, what in (("syncs", "values that the host reads"), ("copies", "copies"), ("doubles", "float64 operators")):
        was, now = _count(before, name), _count(after, name)
        if was == now == 0:
            continue
        old, new = (side["counts"]["lines"][name] for side in (before, after))
        lines = sorted({*old, *new}, key=lambda line: (-max(old.get(line, 0), new.get(line, 0)), line))
        places = [f"{line} ({old.get(line, 0):,.3g} -> {new.get(line, 0):,.3g})" for line in lines[:MOST_NAMED]]
        where = "; ".join(places) + (f" and {len(lines) - MOST_NAMED} more lines" if len(lines) > MOST_NAMED else "")
        yield f"{what[0].upper()}{what[1:]}: {was:,.4g} per episode before, {now:,.4g} after, at {where}."


def _arithmetic(before: Side, after: Side, peak_flops: float) -> Iterator[str]:
    used = [1e3 * _count(side, "flops") / side["undisturbed_ms"] / peak_flops for side in (before, after)]
    megaflops = [_count(side, "flops") / 1e6 for side in (before, after)]
    verdict = (
        "the arithmetic is not what takes the time in either"
        if max(used) < IDLE_ARITHMETIC
        else "the arithmetic takes a good part of the time only where that share is large"
    )
    yield (
        f"Matrix products: {digits(megaflops[0])} -> {digits(megaflops[1])} MFLOP per episode, at {used[0]:.1%} -> "
        f"{used[1]:.1%} of the most that this machine was measured to do in float32 ({peak_flops / 1e9:,.0f} GFLOP/s; "
        f"products of a lower precision are held against it as well): {verdict}."
    )


def _prediction(before: Side, after: Side) -> Iterator[str]:
    found, noise = predictions(before, after), scatter(before, after)
    remainder = found["measured"] / found["phases"] - 1
    counted = found["measured"] / found["dispatches"] - 1
    yield (
        f"The phases add up to {times(found['phases'])} and {times(found['measured'])} was measured: "
        f"{_verdict(found['measured'], found['phases'], noise)}, with a remainder of {remainder:+.1%}. The number of "
        f"operators alone would give {times(found['dispatches'])}: "
        f"{_verdict(found['measured'], found['dispatches'], noise)}, {counted:+.1%}."
    )


def _verdict(measured: float, predicted: float, noise: float) -> str:
    """Whether a prediction explains the change: it must come near it, and not lie on the other side of none."""
    if abs(math.log(measured)) <= math.log1p(noise):
        return f"the change is within the scatter of these looks ({noise:.0%}), so there is nothing to explain"
    near = abs(measured / predicted - 1) <= EXPLAINED and (predicted - 1) * (measured - 1) > 0
    return "explained" if near else "NOT explained by them"


def _cost_of_looking(before: Side, after: Side) -> Iterator[str]:
    watching = " and ".join(f"{side['watching_overhead']:+.1%}" for side in (before, after))
    profiler = " and ".join(f"{side['profiler_overhead']:+.0%}" for side in (before, after))
    yield (
        f"The phases, without the time that cutting takes, add up to {watching} more than an unwatched episode (before "
        f"and after); torch.profiler makes it {profiler} longer. Neither feeds the speed."
    )

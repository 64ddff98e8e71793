"""Where to train, in sentences."""

from __future__ import annotations

from itertools import groupby, pairwise
from pathlib import Path

from m2bench.errors import quoted
from m2bench.records.scale_spec import Setting
from m2bench.summary.scale_summary import Choice, CrossingRow, Limits, ScaleLine, ScalePoint, ScaleSummary
from m2bench.text.figures import is_known, percent, times_within, within
from m2bench.text.places import place_in_words
from m2bench.text.speed import Speed

from .sentences import listed


def line_in_words(line: ScaleLine) -> str:
    """``the CPU with 1 thread``, with what else is fixed: ``the CPU with 1 thread and optimizer adam``."""
    fixed = [f"{name} {value}" for name, value in line.fixed.items()]
    return " and ".join(filter(None, (place_in_words(line.place), *fixed)))


def _train(line: ScaleLine) -> str:
    """``on the CPU with 1 thread``, ``with optimizer adam``."""
    words = line_in_words(line)
    return words and ("on " if line.place.name else "with ") + words


def where_to_train(summary: ScaleSummary) -> str:
    """The first sentence: which place at which sizes, where that is shown."""
    if summary.fastest is None:
        return "Nothing could be measured."
    chosen = summary.lines[summary.fastest.line].layers
    own = [choice for choice in summary.choices if choice.layers == chosen]
    begin = "So far: train" if summary.trials_done < summary.trials_planned else "Train"
    if not own and summary.fastest.rivals and summary.axis:
        return f"No {summary.axis.many and 'number of '}{summary.axis.heading} is shown to be the fastest."
    if not own:
        return f"{begin} {_size_in_words(summary)}."
    shown = [choice for choice in own if choice.is_shown]
    if not shown:
        return f"No place is shown to be faster than another{_at_any(summary.axis)}."
    stretches = [list(group) for _, group in groupby(shown, key=lambda choice: choice.line)]
    if _iswhole(own, stretches):
        return f"{begin} {_by_crossings(summary, stretches)}."
    told = listed([f"{_train(_line(summary, group[0]))} {_sizes(summary.axis, group)}" for group in stretches])
    open_ = [choice for choice in own if not choice.is_shown]
    return f"{begin} {told}; {_sizes(summary.axis, open_)} no place is shown to be the fastest."


def _line(summary: ScaleSummary, choice: Choice) -> ScaleLine:
    assert choice.line is not None
    return summary.lines[choice.line]


def _at_any(axis: Setting | None) -> str:
    return f" at any number of {axis.many}" if axis and axis.many else f" at any {axis.name}" if axis else ""


def _iswhole(own: list[Choice], stretches: list[list[Choice]]) -> bool:
    """Whether what is not shown lies between two different winners alone, where their lines cross."""
    inside = {choice.size for one, other in pairwise(stretches) for choice in own
              if one[-1].size < choice.size < other[0].size}  # fmt: skip
    return all(choice.is_shown or choice.size in inside for choice in own)


def _by_crossings(summary: ScaleSummary, stretches: list[list[Choice]]) -> str:
    """``on the CPU with 1 thread below 64 environments, on MPS above``."""
    axis, places = summary.axis, [_train(_line(summary, group[0])) for group in stretches]
    if axis is None:
        return places[0]
    if len(places) == 1:
        return (
            f"{places[0]} at every {axis.one or axis.name} tried"
            if not axis.many
            else (f"{places[0]} at every number of {axis.many} tried")
        )
    bounds = [axis.said(_rounded(_crossing(summary, one, other).at)) for one, other in pairwise(stretches)]
    first, *inner, last = places
    between = [f"{place} from there to {bound}" for place, bound in zip(inner, bounds[1:], strict=True)]
    return ", ".join((f"{first} below {bounds[0]}", *between, f"{last} above"))


def _crossing(summary: ScaleSummary, one: list[Choice], other: list[Choice]) -> CrossingRow:
    """Where the winner of ``other`` overtakes that of ``one``."""
    return next(
        row for row in summary.crossings
        if (row.overtaking, row.other) == (other[0].line, one[0].line)
        and row.low >= one[-1].size - 1e-9 and row.high <= other[0].size + 1e-9
    )  # fmt: skip


def _rounded(value: float) -> int | float:
    """Two digits: what is interpolated is known no better."""
    return whole(float(f"{value:.2g}"))


def whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _sizes(axis: Setting | None, choices: list[Choice]) -> str:
    """``with 8 and 32 environments``."""
    if axis is None:
        return ""
    numbers = listed([f"{whole(choice.size):,}" for choice in choices])
    return f"with {numbers} {axis.many}" if axis.many else f"with {axis.name} {numbers}"


def _size_in_words(summary: ScaleSummary) -> str:
    """The fastest point where there is one place alone: ``with 512 environments: 43,000 episodes/min, 64x ...``."""
    fastest, speed = summary.fastest, Speed.of(summary.system)
    assert fastest is not None
    point = _point(summary, fastest.line, fastest.size)
    where = _train(summary.lines[fastest.line])
    what = f"with {summary.axis.said(whole(fastest.size))}" if summary.axis else ""
    over = speed.times(times_within(point.over_baseline), "the baseline")
    level = speed.said(point.episodes_per_min and point.episodes_per_min.value)
    return f"{' '.join(filter(None, (what, where)))}: {level}, {over}"


def _point(summary: ScaleSummary, line: int, size: float) -> ScalePoint:
    return next(point for point in summary.lines[line].points if point.size == size)


def how_sure(summary: ScaleSummary, folder: Path | None) -> str:
    """Between which sizes the lines cross; what would tell more where nothing is shown."""
    resume = f"m2bench scale --resume {quoted(folder)}" if folder else "m2bench scale --resume"
    if summary.trials_done < summary.trials_planned:
        return f"Not finished: {summary.trials_done} of {summary.trials_planned} trials done ({resume})."
    if summary.fastest is None:
        return ""
    chosen = summary.lines[summary.fastest.line].layers
    own = [choice for choice in summary.choices if choice.layers == chosen]
    if not any(choice.is_shown for choice in own) and (own or summary.fastest.rivals):
        return f"More blocks may tell ({resume} --more-blocks 3)."
    winners = {choice.line for choice in own if choice.is_shown}
    told = [_crossing_in_words(summary, row) for row in summary.crossings if {row.overtaking, row.other} <= winners]
    return f"{'; '.join(told)}." if told else ""


def _crossing_in_words(summary: ScaleSummary, row: CrossingRow) -> str:
    assert summary.axis is not None
    ahead, behind = (line_in_words(summary.lines[number]) for number in (row.overtaking, row.other))
    between = f"between {whole(row.low):,} and {whole(row.high):,}"
    sizes = f"{between} {summary.axis.many}" if summary.axis.many else f"{between} of {summary.axis.name}"
    return f"{_begun(ahead)} overtakes {behind} {sizes}"


def fastest_of_all(summary: ScaleSummary) -> str:
    """The fastest point of all, and those that are not shown to be slower."""
    fastest = summary.fastest
    if fastest is None:
        return ""
    if not summary.choices and not fastest.rivals:
        return ""  # the first sentence
    return f"Fastest of all: {_size_in_words(summary)}. {_rivals(summary)}".strip()


def soonest_point(summary: ScaleSummary) -> str:
    """Where the learning target is reached first, which need not be where most is trained in a second."""
    timed = [
        (point.time_to_target_s, point, line)
        for line in summary.lines
        for point in line.points
        if point.time_to_target_s is not None and is_known(point.time_to_target_s)
    ]
    if len({point.size for _, point, _ in timed}) < 2:
        return ""
    time_s, point, line = min(timed, key=lambda each: each[0].value)
    where = " ".join(filter(None, (_sizes_alone(summary.axis, point.size), _train(line))))
    unsure = "" if time_s.interval else ", by one learning trial for each size"
    return f"The learning target is reached soonest {where}: after {within(time_s)} s{unsure}."


MOST_RIVALS = 4


def _rivals(summary: ScaleSummary) -> str:
    assert summary.fastest is not None
    named = [
        ", ".join(filter(None, (summary.axis.said(whole(size)) if summary.axis else "",
                                line_in_words(summary.lines[line]) if summary.choices else "")))
        for line, size in summary.fastest.rivals
    ]  # fmt: skip
    more = [f"{len(named) - MOST_RIVALS} more"] if len(named) > MOST_RIVALS else []
    return f"Not shown to be slower: {'; '.join([*named[:MOST_RIVALS], *more])}." if named else ""


def limited(summary: ScaleSummary) -> list[str]:
    """By line of the set, what limits it at the smallest and the largest size of which that can be told."""
    if summary.fastest is None:
        return []
    chosen, told = summary.lines[summary.fastest.line].layers, []
    for line in summary.lines:
        told_of = [(point.size, point.limits) for point in line.points if point.limits and point.limits.limit]
        if line.layers == chosen and told_of:
            ends = dict((told_of[0], told_of[-1]))
            parts = [
                f"{_limit_in_words(found)} {_sizes_alone(summary.axis, size)}".strip() for size, found in ends.items()
            ]
            told.append(f"{_begun(line_in_words(line))}: {', '.join(parts)}.")
    return told


def _begun(words: str) -> str:
    """As a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"


def _sizes_alone(axis: Setting | None, size: float) -> str:
    return f"with {axis.said(whole(size))}" if axis else ""


LIMITS = {"dispatch": "handing over operators", "arithmetic": "matrix products", "memory": "moving bytes"}


def _limit_in_words(limits: Limits) -> str:
    assert limits.limit is not None
    return f"{LIMITS[limits.limit]} takes at least {percent(getattr(limits, limits.limit))} of the time"

"""What the report of a run of ``scale`` says: where to train, by sentences, tables and charts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

from m2bench.machine.checks import warnings_of_machine
from m2bench.records.combinations import combination_name
from m2bench.records.description import Device, Machine
from m2bench.records.documents import read
from m2bench.records.errors import quoted
from m2bench.records.scale import Setting
from m2bench.records.scale_summary import Choice, CrossingRow, Limits, ScaleLine, ScalePoint, ScaleSummary
from m2bench.text.figures import NOTHING, is_known, percent, times_within, within
from m2bench.text.places import place_in_words
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .charts import Chart, NotDrawn
from .charts.lines import draw_lines
from .content import Content
from .sections import Section, SectionPart, Sentences
from .sentences import counted, listed


def scale_content(
    summary: ScaleSummary, charts: Sequence[Chart | NotDrawn] = (), folder: Path | None = None
) -> Content:
    """``folder``: that of the run, for the command that continues it."""
    machine = (read(Machine, summary.machine), read(Device, summary.machine))
    drawn = {chart.name: chart for chart in charts}
    parts: list[tuple[str, str, tuple[SectionPart | None, ...]]] = [
        ("where", "Where to train", (_lines_table(summary), drawn.get("lines"))),
        ("limits", "What limits it", (_places_table(summary),)),
        ("sure", "How sure is this", (Sentences(_remarks(summary)),)),
    ]
    return Content(
        run=summary.run,
        headline=(where_to_train(summary), _how_sure(summary, folder)),
        warnings=[f"Warning: {warning}." for warning in (*warnings_of_machine(*machine), *summary.warnings)],
        details=[line for line in (_fastest(summary), _soonest(summary), *_limited(summary)) if line],
        advice=[],
        call=None,
        figures=[],
        sections=[
            Section(name, title, tuple(part for part in given if part is not None))
            for name, title, given in parts
            if any(part is not None for part in given)
        ],
    )


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
    if _is_whole(own, stretches):
        return f"{begin} {_by_crossings(summary, stretches)}."
    told = listed([f"{_train(_line(summary, group[0]))} {_sizes(summary.axis, group)}" for group in stretches])
    open_ = [choice for choice in own if not choice.is_shown]
    return f"{begin} {told}; {_sizes(summary.axis, open_)} no place is shown to be the fastest."


def _line(summary: ScaleSummary, choice: Choice) -> ScaleLine:
    assert choice.line is not None
    return summary.lines[choice.line]


def _at_any(axis: Setting | None) -> str:
    return f" at any number of {axis.many}" if axis and axis.many else f" at any {axis.name}" if axis else ""


def _is_whole(own: list[Choice], stretches: list[list[Choice]]) -> bool:
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
    return _whole(float(f"{value:.2g}"))


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _sizes(axis: Setting | None, choices: list[Choice]) -> str:
    """``with 8 and 32 environments``."""
    if axis is None:
        return ""
    numbers = listed([f"{_whole(choice.size):,}" for choice in choices])
    return f"with {numbers} {axis.many}" if axis.many else f"with {axis.name} {numbers}"


def _size_in_words(summary: ScaleSummary) -> str:
    """The fastest point where there is one place alone: ``with 512 environments: 43,000 episodes/min, 64x ...``."""
    fastest, speed = summary.fastest, Speed.of(summary.system)
    assert fastest is not None
    point = _point(summary, fastest.line, fastest.size)
    where = _train(summary.lines[fastest.line])
    what = f"with {summary.axis.said(_whole(fastest.size))}" if summary.axis else ""
    over = speed.times(times_within(point.over_baseline), "the baseline")
    level = speed.said(point.episodes_per_min and point.episodes_per_min.value)
    return f"{' '.join(filter(None, (what, where)))}: {level}, {over}"


def _point(summary: ScaleSummary, line: int, size: float) -> ScalePoint:
    return next(point for point in summary.lines[line].points if point.size == size)


def _how_sure(summary: ScaleSummary, folder: Path | None) -> str:
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
    between = f"between {_whole(row.low):,} and {_whole(row.high):,}"
    sizes = f"{between} {summary.axis.many}" if summary.axis.many else f"{between} of {summary.axis.name}"
    return f"{_begun(ahead)} overtakes {behind} {sizes}"


def _fastest(summary: ScaleSummary) -> str:
    """The fastest point of all, and those that are not shown to be slower."""
    fastest = summary.fastest
    if fastest is None:
        return ""
    if not summary.choices and not fastest.rivals:
        return ""  # the first sentence
    return f"Fastest of all: {_size_in_words(summary)}. {_rivals(summary)}".strip()


def _soonest(summary: ScaleSummary) -> str:
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
        ", ".join(filter(None, (summary.axis.said(_whole(size)) if summary.axis else "",
                                line_in_words(summary.lines[line]) if summary.choices else "")))
        for line, size in summary.fastest.rivals
    ]  # fmt: skip
    more = [f"{len(named) - MOST_RIVALS} more"] if len(named) > MOST_RIVALS else []
    return f"Not shown to be slower: {'; '.join([*named[:MOST_RIVALS], *more])}." if named else ""


def _limited(summary: ScaleSummary) -> list[str]:
    """By line of the set, what limits it at the smallest and the largest size of which that can be told."""
    if summary.fastest is None:
        return []
    chosen, told = summary.lines[summary.fastest.line].layers, []
    for line in summary.lines:
        limited = [(point.size, point.limits) for point in line.points if point.limits and point.limits.limit]
        if line.layers == chosen and limited:
            ends = dict((limited[0], limited[-1]))
            parts = [
                f"{_limit_in_words(found)} {_sizes_alone(summary.axis, size)}".strip() for size, found in ends.items()
            ]
            told.append(f"{_begun(line_in_words(line))}: {', '.join(parts)}.")
    return told


def _begun(words: str) -> str:
    """As a sentence begins."""
    return f"{words[:1].upper()}{words[1:]}"


def _sizes_alone(axis: Setting | None, size: float) -> str:
    return f"with {axis.said(_whole(size))}" if axis else ""


LIMITS = {"dispatch": "handing over operators", "arithmetic": "matrix products", "memory": "moving bytes"}


def _limit_in_words(limits: Limits) -> str:
    assert limits.limit is not None
    return f"{LIMITS[limits.limit]} takes at least {percent(getattr(limits, limits.limit))} of the time"


def _lines_table(summary: ScaleSummary) -> Table:
    """One row per point, line by line."""
    speed, axis = Speed.of(summary.system), summary.axis
    best = {(choice.line, choice.size) for choice in summary.choices if choice.is_shown}
    open_ = {(number, choice.size) for choice in summary.choices if not choice.is_shown
             for number in (choice.line, *choice.rivals)}  # fmt: skip
    size, level = axis.heading if axis else "", speed.heading
    rows = [
        (
            line_in_words(line) or NOTHING,
            combination_name(line.layers),
            f"{_whole(point.size):,}" if axis else "",
            speed.within(point.episodes_per_min),
            times_within(point.over_baseline),
            within(point.episodes_to_target),
            within(point.time_to_target_s),
            within(point.peak_memory_mb),
            point.limits.limit or "none" if point.limits else NOTHING,
            "yes" if (number, point.size) in best else "perhaps" if (number, point.size) in open_ else NOTHING,
            point.reason or "ok",
        )
        for number, line in enumerate(summary.lines)
        for point in line.points
    ]
    to_target = f"{summary.system.unit.many} to target"
    columns = ("where", "layers", size or "size", level, "over the baseline", to_target, "to target s", "memory MB",
               "limited by", "fastest place", "status")  # fmt: skip
    table = Table(
        title=f"{speed.label} by place{f' and {size}' if size else ''}",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[2:8]),
        droppable=("memory MB", to_target, "to target s", "limited by", "over the baseline"),
        notes=(
            f"Brackets: 95 % intervals; those of {level} and of ratios hold for all points at once. The baseline is "
            f"that of the first row. fastest place: yes where it is shown to be faster than every other place with the "
            "same layers there, perhaps where it is not shown to be slower than the fastest.",
            *_note_on_layers(summary),
        ),
    )
    return table.without_empty_columns()


def _note_on_layers(summary: ScaleSummary) -> list[str]:
    axis = summary.axis
    if axis is None or axis.layer is None:
        return []
    return [f"One {axis.one}: without {axis.layer}, of which it is a number."]


def _places_table(summary: ScaleSummary) -> Table | None:
    """What each place can do at most, and the shares of each point's time that this takes."""
    limited = [(line, point, point.limits) for line in summary.lines for point in line.points if point.limits]
    if not limited:
        return None
    axis = summary.axis
    columns = ("where", "layers", axis.heading if axis else "size", "dispatch", "arithmetic", "memory", "limited by")
    can = [
        f"{place_in_words(place.place)} hands over an operator in {1e6 * place.dispatch_s:.3g} µs, makes "
        f"{place.peak_flops / 1e9:,.3g} GFLOP/s in matrix products and moves {place.bytes_per_s / 1e9:.3g} GB/s"
        for place in summary.places
    ]
    return Table(
        title="The least that its operators, matrix products and bytes take, as a share of the measured time",
        columns=columns,
        rows=[
            (
                line_in_words(line),
                combination_name(line.layers),
                f"{_whole(point.size):,}" if axis else "",
                percent(limits.dispatch),
                percent(limits.arithmetic),
                percent(limits.memory),
                limits.limit or "none",
            )
            for line, point, limits in limited
        ],
        numeric=frozenset(columns[2:6]),
        notes=(
            f"Measured here: {'; '.join(can)}. Each share is what was counted in one {summary.system.unit.one} at that "
            "rate: the smallest operator, the fastest product, bytes that no cache holds. The rest is Python, larger "
            "operators and waiting. What torch.compile has fused is not counted but for its products.",
        ),
    ).without_empty_columns()


def _remarks(summary: ScaleSummary) -> list[str]:
    blocks = summary.workload["spec"]["blocks"]
    found = [
        f"Every point is a process of its own, once in each of {counted(blocks, 'block')}, in random order between two "
        "baselines.",
        "Places are compared within blocks, so that what the machine did meanwhile falls on all alike; the intervals "
        "hold for all comparisons at once.",
        "A crossing lies between the nearest sizes at which both leads are shown; the number in the first sentence is "
        "where the means cross, as straight lines on logarithms.",
    ]
    ratio = summary.repeats.aa_ratio
    if ratio is not None and is_known(ratio):
        found.append(f"Identical baselines: {times_within(ratio)} of each other, which ought to be 1x.")
    if summary.repeated_trials:
        found.append(f"{counted(summary.repeated_trials, 'trial')} beside other load ran again.")
    if any("no result after" in (point.reason or "") for line in summary.lines for point in line.points):
        found.append(
            "A trial without a result in its time may have been compiling: give it more with --trial-timeout, or leave "
            "the layer that compiles out of --with."
        )
    return found


def draw_scale_charts(summary: ScaleSummary) -> list[Chart | NotDrawn]:
    """Speed by size, a line per place and combination."""
    labels = [f"{combination_name(line.layers)}, {line_in_words(line)}".rstrip(", ") for line in summary.lines]
    return [draw_lines(summary, labels, where_to_train(summary))]

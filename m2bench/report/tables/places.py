"""The tables of a run of ``scale``: speed by place and size, and what limits it."""

from __future__ import annotations

from m2bench.records.combinations import combination_name
from m2bench.report.where_to_train import line_in_words, whole
from m2bench.summary.scale_summary import ScaleSummary
from m2bench.text.figures import NOTHING, percent, times_within, within
from m2bench.text.places import place_in_words
from m2bench.text.speed import Speed
from m2bench.text.tables import Table


def lines_table(summary: ScaleSummary) -> Table:
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
            f"{whole(point.size):,}" if axis else "",
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


def limits_table(summary: ScaleSummary) -> Table | None:
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
                f"{whole(point.size):,}" if axis else "",
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

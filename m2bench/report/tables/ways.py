"""Tables of a run of ``ablate --factors``."""

from __future__ import annotations

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.figure import Figure, value_of
from m2bench.summary.factors_summary import FactorEffect, FactorsSummary, Finding, LayerWorth, Steadiness, WayOfLearning
from m2bench.text.figures import percent_within, times_within, within
from m2bench.text.tables import Table

PLAIN = "none of them"
ALL_WAYS = "all, on average"
SPEED_WORDS: dict[Finding, str] = {"better": "pays", "worse": "costs", "not shown": "not shown"}


def named(chosen: Layers) -> str:
    """A combination as reports call it."""
    return combination_name(chosen) if chosen else PLAIN


def by_seconds(ways: tuple[WayOfLearning, ...]) -> list[WayOfLearning]:
    """The soonest first, those without figures last."""
    return sorted(ways, key=lambda way: (way.seconds is None, value_of(way.seconds) or 0.0))


def ways_table(summary: FactorsSummary) -> Table:
    """A row for each combination, the soonest first."""
    units = summary.system.unit.many
    figures = ("seconds", units, "movement downwards", "spread of seeds")
    return Table(
        title="Until the target is reached: mean [95 % interval] over the seeds",
        columns=("with", *figures, "by seconds", "reached it", "why none"),
        rows=[_row_of_way(way, summary) for way in by_seconds(summary.ways)],
        numeric=frozenset((*figures, "reached it")),
        droppable=("movement downwards", "spread of seeds", "reached it"),
        notes=(
            f"Not later: not shown to take more seconds than the soonest. Movement downwards: of the return from "
            f"evaluation to evaluation; 0 % is steady progress, 50 % is none. Spread of seeds: the factor by which the "
            f"{units} of a typical seed are off; 1x is none.",
        ),
    ).without_empty_columns()


def _row_of_way(way: WayOfLearning, summary: FactorsSummary) -> tuple[str, ...]:
    return (
        named(way.factors),
        within(way.seconds),
        within(way.episodes),
        percent_within(way.setbacks),
        times_within(way.spread),
        _beside_soonest(way, summary),
        f"{way.arrived} of {way.trials}",
        way.reason or "",
    )


def _beside_soonest(way: WayOfLearning, summary: FactorsSummary) -> str:
    first = summary.soonest_by_seconds
    if first is None or way.seconds is None:
        return ""
    return "soonest" if way.factors == first.factors else "not later" if way.factors in first.rivals else "later"


def over_plain_table(summary: FactorsSummary) -> Table:
    """A row for each combination that was compared with the plain one, in the order of ``ways_table``."""
    units = summary.system.unit.many
    figures = ("seconds", units, "setbacks", "spread of seeds")
    compared = [way for way in by_seconds(summary.ways) if way.seconds_over_plain is not None]
    return Table(
        title=f"Over {PLAIN}, seed by seed [95 % interval]: below 1.00x is sooner, less is steadier",
        columns=("with", *figures),
        rows=[
            (
                named(way.factors),
                times_within(way.seconds_over_plain),
                times_within(way.episodes_over_plain),
                _points(way.steadiness_over_plain),
                times_within(way.steadiness_over_plain.spread),
            )
            for way in compared
        ],
        numeric=frozenset(figures),
        droppable=("spread of seeds", "setbacks"),
    )


def _points(steadiness: Steadiness) -> str:
    return within(steadiness.setbacks and steadiness.setbacks.percent(), " points")


def effects_table(summary: FactorsSummary) -> Table:
    """A row for each factor: how soon."""
    units = summary.system.unit.many
    ratios = ("seconds, alone", "seconds, on average", f"{units}, alone", f"{units}, on average")
    return Table(
        title="How soon: with each of them over without it [95 % interval], below 1.00x is sooner",
        columns=("factor", *ratios),
        rows=[(effect.name, *map(times_within, _ratios(effect))) for effect in summary.effects],
        numeric=frozenset(ratios),
        droppable=ratios[2:3],
    )


def _ratios(effect: FactorEffect) -> tuple[Figure | None, ...]:
    return effect.seconds_alone, effect.seconds_mean, effect.episodes_alone, effect.episodes_mean


def steadiness_table(summary: FactorsSummary) -> Table:
    """A row for each factor: how steadily."""
    figures = ("setbacks, alone", "setbacks, on average", "spread, alone", "spread, on average")
    return Table(
        title="How steadily: with each of them against without it [95 % interval], less is steadier",
        columns=("factor", *figures),
        rows=[(effect.name, *_steadily(effect.steadiness_alone, effect.steadiness_mean)) for effect in summary.effects],
        numeric=frozenset(figures),
        droppable=("setbacks, alone", "spread, alone"),
        notes=(
            "Setbacks: the share of the return's movement from evaluation to evaluation that goes downwards, as a "
            "difference. A trial ends when it reaches the target, so what is sooner is judged by fewer evaluations. "
            f"Spread: the standard deviation over the seeds of the logarithm of the {summary.system.unit.many} to the "
            "target, as a ratio, with the interval of the jackknife (Miller, 1968).",
        ),
    )


def _steadily(alone: Steadiness, mean: Steadiness) -> tuple[str, ...]:
    return _points(alone), _points(mean), times_within(alone.spread), times_within(mean.spread)


def worth_table(summary: FactorsSummary) -> Table | None:
    """A row for each crossed layer and way of learning; None where no layer is crossed."""
    if not summary.worth:
        return None
    units = summary.system.unit
    ratios = (f"seconds per {units.one}", units.many, "seconds to the target")
    return Table(
        title="Layers: with each of them over without it [95 % interval], below 1.00x is less",
        columns=("layer", "way of learning", *ratios, "for speed", "to the target"),
        rows=[_row_of_worth(each) for each in summary.worth],
        numeric=frozenset(ratios),
        droppable=(units.many,),
        notes=(
            f"The seconds to the target are those per {units.one} times the {units.many}. Where several layers are "
            "compared, each row is a mean over the others on and off.",
        ),
    )


def _row_of_worth(each: LayerWorth) -> tuple[str, ...]:
    return (
        each.layer,
        ALL_WAYS if each.way is None else named(each.way),
        *(times_within(figure) for figure in (each.pace, each.episodes, each.seconds)),
        SPEED_WORDS[each.for_speed],
        SPEED_WORDS[each.to_target],
    )

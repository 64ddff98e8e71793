"""What the report of a run of ``ablate --factors`` says: which way of learning reaches the target soonest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2bench.errors import quoted
from m2bench.records.combinations import combination_name
from m2bench.records.figure import Figure
from m2bench.records.refusals import mark_of
from m2bench.summary.factors_summary import FactorEffect, FactorsSummary, Finding, Soonest
from m2bench.text.figures import is_known, times_within, within

from .charts.style import Chart, NotDrawn, titles_marked
from .charts.ways import draw_ways
from .charts.worth import draw_worth
from .content import Content, Sentences, sections_of
from .sentences import counted, listed, warnings
from .tables.ways import PLAIN, effects_table, named, over_plain_table, steadiness_table, ways_table, worth_table

MOST_NAMED = 6
"""Of a list in a sentence."""
SOONER: dict[Finding, str] = {"better": "sooner", "worse": "later", "not shown": "no difference in time shown"}
STEADIER: dict[Finding, str] = {"better": "less", "worse": "more", "not shown": "no difference shown"}


def factors_content(
    summary: FactorsSummary, charts: Sequence[Chart | NotDrawn] = (), folder: Path | None = None
) -> Content:
    """``folder``: that of the run, for the command that continues it."""
    drawn = {chart.name: chart for chart in charts}
    parts = [
        ("ways", "Which way learns soonest", (ways_table(summary), drawn.get("ways"), over_plain_table(summary))),
        ("effects", "What each of them does", (effects_table(summary), steadiness_table(summary))),
        ("layers", "Whether the layers that pay for speed pay here", (worth_table(summary), drawn.get("worth"))),
        ("sure", "How sure is this", (Sentences(_remarks(summary)),)),
    ]
    return Content(
        run=summary.run,
        headline=(_soonest_line(summary) + mark_of(summary.device_faults), _how_sure(summary, folder)),
        sections=sections_of(parts),
        warnings=warnings(summary.machine, summary.warnings),
        details=[*(verdict_on(effect, summary.system.unit.many) for effect in summary.effects), *layers_lines(summary)],
    )


def draw_factors_charts(summary: FactorsSummary) -> list[Chart | NotDrawn]:
    """The combinations by their times to the target; and the crossed layers, where there are any."""
    seconds, episodes = summary.soonest_by_seconds, summary.soonest_by_episodes
    title = "No way of learning reached the target with every seed"
    if seconds is not None and episodes is not None:
        by_units = f"by {summary.system.unit.many}: {named(episodes.factors)}"
        title = f"Soonest by seconds: {named(seconds.factors)}; {by_units}"
    with titles_marked(mark_of(summary.device_faults)):
        charts = [draw_ways(summary, title)]
        return [*charts, draw_worth(summary, layers_lines(summary)[0].rstrip("."))] if summary.worth else charts


def _soonest_line(summary: FactorsSummary) -> str:
    """Which combination learns soonest by seconds, and by episodes."""
    units, seconds, episodes = summary.system.unit.many, summary.soonest_by_seconds, summary.soonest_by_episodes
    if seconds is None or episodes is None:
        return "No way of learning reached the target with every seed."
    by_name = {way.factors: way for way in summary.ways}
    best, fewest, plain = (by_name.get(chosen) for chosen in (seconds.factors, episodes.factors, ()))
    assert best is not None
    assert fewest is not None
    in_seconds, in_units = ("s", best.seconds), (units, fewest.episodes)
    if fewest is best:
        found = f"Learns soonest, by seconds and by {units}: {named(best.factors)}, {_taking(in_seconds, in_units)}"
    else:
        found = f"Learns soonest by seconds: {named(best.factors)}, {_taking(in_seconds)}"
        found += f"; by {units}: {named(fewest.factors)}, {_taking(in_units)}"
    if plain is not None and plain.seconds is not None and not (plain is best and plain is fewest):
        found += f"; with {PLAIN}: {_taking(('s', plain.seconds), (units, plain.episodes))}"
    return f"{found}."


def _taking(*figures: tuple[str, Figure | None]) -> str:
    """How much of each unit, where it is known."""
    known = [f"{within(found)} {unit}" for unit, found in figures if found is not None and is_known(found)]
    return " and ".join(known) or "in a time that so few seeds cannot tell"


def _how_sure(summary: FactorsSummary, folder: Path | None) -> str:
    """What is not shown to take longer, what was not compared, and how to know more."""
    incomplete = [way.factors for way in summary.ways if way.reason is not None]
    compared = len(summary.ways) - len(incomplete)
    found = [
        _rivals_line(by, soonest, "compared" if incomplete else "other", summary.seeds)
        for by, soonest in (
            ("seconds", summary.soonest_by_seconds),
            (summary.system.unit.many, summary.soonest_by_episodes),
        )
        if soonest is not None and compared > 1
    ]
    if incomplete:
        found.append(f"Not compared: {_some([*map(named, incomplete)])}.")
    first = summary.soonest_by_seconds
    if folder is not None and first is not None and first.rivals:
        found.append(f"More seeds may tell: m2bench ablate --resume {quoted(folder)} --more-blocks {summary.seeds}")
    return " ".join(found)


def _rivals_line(by: str, soonest: Soonest, others: str, seeds: int) -> str:
    if soonest.rivals:
        return f"Not shown to take more {by}: {_some([*map(named, soonest.rivals)])}."
    return f"Every {others} way is shown to take more {by}, with {counted(seeds, 'seed')}."


def _some(names: list[str]) -> str:
    """The first of a list, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_NAMED])} and {more} more"


def verdict_on(effect: FactorEffect, units: str) -> str:
    """On a claim, by averages over all combinations of the others: how soon, how steadily."""
    steadily = effect.steadiness_mean
    found = f"{effect.name}: {SOONER[effect.is_sooner]} ({times_within(effect.seconds_mean)} of the seconds and "
    found += f"{times_within(effect.episodes_mean)} of the {units})"
    if steadily.setbacks is not None:
        points = within(steadily.setbacks.percent(), " points")
        found += f"; setbacks on the way: {STEADIER[steadily.on_the_way]} ({points})"
    if steadily.spread is not None:
        found += f"; spread between seeds: {STEADIER[steadily.between_seeds]} ({times_within(steadily.spread)})"
    judged = "the time to the target" if effect.claims == "time" else "setbacks and spread"
    return f'{found}. The claim "{effect.claim}", judged by {judged}: {effect.verdict}.'


def layers_lines(summary: FactorsSummary) -> list[str]:
    """Whether the crossed layers that pay for speed pay for the time to the target; first all of them, then each."""
    if not summary.crossed:
        return []
    on_average = {each.layer: each for each in summary.worth if each.way is None}
    paying = [layer for layer, each in on_average.items() if each.for_speed == "better"]
    still = [layer for layer in paying if on_average[layer].to_target == "better"]
    if not paying:
        first = f"No layer is shown to pay for speed, of {listed(summary.crossed)}."
    elif still == paying:
        first = f"What pays for speed also pays for the time to the target, on average: {listed(paying)}."
    elif still:
        first = (
            f"{listed(paying)} pay for speed; for the time to the target, on average, only {listed(still)} is shown to."
        )
    else:
        verb, they = ("pays", "it is not") if len(paying) == 1 else ("pay", "none is")
        first = f"{listed(paying)} {verb} for speed; for the time to the target, on average, {they} shown to."
    return [first, *(_layer_line(layer, summary) for layer in summary.crossed)]


def _layer_line(layer: str, summary: FactorsSummary) -> str:
    rows = {each.way: each for each in summary.worth if each.layer == layer}
    mean, unit = rows.pop(None), summary.system.unit
    found = f"{layer}: {times_within(mean.pace)} of the seconds per {unit.one}, {times_within(mean.episodes)} of the "
    found += f"{unit.many}, {times_within(mean.seconds)} of the seconds to the target, on average"
    by_finding: dict[Finding, list[str]] = {"better": [], "worse": [], "not shown": []}
    for way, each in rows.items():
        by_finding[each.to_target].append(named(way or ()))
    words: dict[Finding, str] = {"better": "sooner with", "worse": "later with", "not shown": "not shown with"}
    told = [f"{words[finding]} {_some(ways)}" for finding, ways in by_finding.items() if ways]
    return f"{found}; {'; '.join(told)}."


def _remarks(summary: FactorsSummary) -> list[str]:
    units, always = summary.system.unit.many, combination_name(summary.layers) if summary.layers else "no layer"
    layers = f"{always} on in every trial and {listed(summary.crossed)} on and off" if summary.crossed else always
    return [
        f"What was trained: {', '.join(f'{name}: {value}' for name, value in summary.system.facts.items())}.",
        f"Every way was trained once with each of {counted(summary.seeds, 'seed')}, in random order, with {layers}. A "
        "seed is one observation: ways are compared within it.",
        f"Seconds are those of training, without the evaluations. That some ways train on shorter {units} at first "
        f"shows in them, and not in the number of {units}.",
        "A way that did not reach the target with every seed has no figures, and neither has what is compared with it.",
        "That others take longer than the soonest holds for all comparisons of any two ways together (Bonferroni), "
        "since which one is the soonest was seen from the same trials: where nothing differs, anything of the kind is "
        "said in fewer than 5 of 100 runs.",
        "Every other interval holds for itself. So where nothing differs, a factor or a layer is called sooner in 2.5 "
        "of 100 cases and later in as many; of a claim that is judged by two measures each is said in up to 5.",
    ]

"""What the report of a run of ``ablate --factors`` says: which way of learning reaches the target soonest."""

from __future__ import annotations

from pathlib import Path

from m2bench.errors import quoted
from m2bench.machine.checks import warnings_of_machine
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.figure import Figure
from m2bench.summary.factors_summary import FactorEffect, FactorsSummary, WayOfLearning
from m2bench.text.figures import is_known, percent_within, times_within, within
from m2bench.text.tables import Table

from .content import Content, Section, Sentences
from .sentences import counted

PLAIN = "none of them"


def factors_content(summary: FactorsSummary, folder: Path | None = None) -> Content:
    """``folder``: that of the run, for the command that continues it."""
    machine = summary.machine
    warnings = (*warnings_of_machine(machine.machine, machine.device), *summary.warnings)
    return Content(
        run=summary.run,
        headline=_headline(summary, folder),
        warnings=[f"Warning: {warning}." for warning in warnings],
        details=[verdict_on(effect, summary.system.unit.many) for effect in summary.effects],
        advice=[],
        call=None,
        figures=[],
        sections=[
            Section("ways", "Which way learns soonest", (ways_table(summary),)),
            Section("effects", "What each of them does", (effects_table(summary),)),
            Section("sure", "How sure is this", (Sentences(_remarks(summary)),)),
        ],
    )


def _headline(summary: FactorsSummary, folder: Path | None) -> tuple[str, ...]:
    """Which way is soonest, and how sure that is of all others."""
    units = summary.system.unit.many
    by_name = {way.factors: way for way in summary.ways}
    if summary.soonest is None:
        return ("No way of learning reached the target with every seed.",)
    best, plain = by_name[summary.soonest], by_name.get(())
    first = f"Learns soonest: {_said(best.factors)}, {_takes(best, units)}"
    if plain is not None and plain is not best and plain.seconds is not None:
        first += f"; with {PLAIN}, {_takes(plain, units)}"
    incomplete = [way.factors for way in summary.ways if way.reason is not None]
    sentences = [f"{first}."]
    if summary.rivals:
        second = f"Not shown to take longer: {', '.join(map(_said, summary.rivals))}."
        if folder is not None:
            second += f" More seeds may tell: m2bench ablate --resume {quoted(folder)} --more-blocks {summary.seeds}"
        sentences.append(second)
    elif len(summary.ways) - len(incomplete) > 1:
        which = "What was compared with it" if incomplete else "Every other way"
        sentences.append(f"{which} is shown to take longer, with {counted(summary.seeds, 'seed')}.")
    if incomplete:
        sentences.append(f"Not compared: {', '.join(map(_said, incomplete))}.")
    return tuple(sentences)


def _takes(way: WayOfLearning, units: str) -> str:
    figures = {"s": way.seconds, units: way.episodes}
    known = [f"{within(found)} {unit}" for unit, found in figures.items() if found is not None and is_known(found)]
    return " and ".join(known) or f"in a time that {counted(way.trials, 'seed')} cannot tell"


def _said(chosen: Layers) -> str:
    return combination_name(chosen) if chosen else PLAIN


def verdict_on(effect: FactorEffect, units: str) -> str:
    """One sentence on a claim: added to none of the others, and on average."""
    found = f"{effect.name} ({effect.claim}): {_sooner(effect.seconds_alone)} alone"
    found += f", {times_within(effect.seconds_mean)} of the seconds and {times_within(effect.episodes_mean)} of the "
    found += f"{units} on average over the others"
    if effect.setbacks is None:
        return f"{found}."
    low, high = effect.setbacks.interval or (-1.0, 1.0)
    steadier = "steadier" if high < 0 else "less steady" if low > 0 else "not shown to be steadier or less steady"
    points = within(effect.setbacks.percent(), " points")
    return f"{found}; {steadier} alone ({points} of the return's movement is downwards)."


def _sooner(ratio: Figure | None) -> str:
    if ratio is None:
        return "not measured"
    shown = "sooner" if ratio.shows_loss else "later" if ratio.shows_gain else "no difference shown"
    return f"{shown}, {times_within(ratio)} of the seconds"


def ways_table(summary: FactorsSummary) -> Table:
    """A row for each combination."""
    units = summary.system.unit.many
    return Table(
        title="Way of learning: mean [95 % interval] over the seeds until the target is reached",
        columns=("with", "reached it", "seconds", units, "movement downwards", "why none"),
        rows=[_row_of_way(way) for way in summary.ways],
        numeric=frozenset(("reached it", "seconds", units, "movement downwards")),
        droppable=("movement downwards",),
        notes=(
            "Movement downwards: of the return from evaluation to evaluation. 0 % is steady progress, 50 % is none. A "
            "trial ends when it reaches the target, so a way that is sooner is judged by fewer evaluations: steadier "
            "means steadier until then.",
        ),
    ).without_empty_columns()


def _row_of_way(way: WayOfLearning) -> tuple[str, ...]:
    return (
        _said(way.factors),
        f"{way.arrived} of {way.trials}",
        within(way.seconds),
        within(way.episodes),
        percent_within(way.setbacks),
        way.reason or "",
    )


def effects_table(summary: FactorsSummary) -> Table:
    """A row for each factor."""
    units = summary.system.unit.many
    ratios = ("seconds, alone", "seconds, on average", f"{units}, alone", f"{units}, on average")
    return Table(
        title="With each of them over without it: ratio [95 % interval], below 1.00x is sooner",
        columns=("factor", *ratios),
        rows=[
            (
                effect.name,
                times_within(effect.seconds_alone),
                times_within(effect.seconds_mean),
                times_within(effect.episodes_alone),
                times_within(effect.episodes_mean),
            )
            for effect in summary.effects
        ],
        numeric=frozenset(ratios),
        droppable=ratios[2:3],
    )


def _remarks(summary: FactorsSummary) -> list[str]:
    layers, units = combination_name(summary.layers), summary.system.unit.many
    return [
        f"What was trained: {', '.join(f'{name}: {value}' for name, value in summary.system.facts.items())}.",
        f"Every way was trained once with each of {counted(summary.seeds, 'seed')}, in random order, with {layers}. A "
        "seed is one observation: ways are compared within it.",
        f"Seconds are those of training, without the evaluations. That some ways train on shorter {units} at first "
        f"shows in them, and not in the number of {units}.",
        "A way that did not reach the target with every seed has no figures, and neither has what is compared with it.",
        "The intervals of ways and factors hold each for itself; that others take longer holds for all that were "
        "compared together.",
    ]

"""How learning was measured."""

from __future__ import annotations

from collections import Counter

from m2bench.records.description import SystemDescription, Target, Unit
from m2bench.report.sentences import counted, tells_of_learning
from m2bench.summary.ablation_summary import LearningSummary, Summary
from m2bench.text.figures import digits, percent
from m2bench.text.speed import Speed


def learning_remarks(summary: Summary) -> list[str]:
    """How learning was measured, and what went wrong with it."""
    learning, target = summary.learning, summary.learning.target
    if not tells_of_learning(summary):
        return []  # which stands under the table of layers
    if learning.mode == "off":
        return ["Learning was not measured (--learning off)."]
    unit, speed = summary.system.unit, Speed.of(summary.system)
    notes = [] if learning.told is None else [_told(learning, learning.told, summary.system)]
    if target is None:
        return notes or [f"Learning was not measured: {summary.system.no_target_because}."]
    notes += [
        f"Learning target: {_target(target, learning, unit)}. Time to target is {unit.many} to target divided by "
        f"{speed.in_words}, without compiling.",
        f"Two combinations learn the same if their learning curves differ by less than {learning.margin:.0%} of what "
        f"there is to learn and their {unit.many} to target by less than {learning.episodes_margin}x (two one-sided "
        "tests at 5 %; one seed is one observation), or if equal numerics prove it. Gain surviving: the part of a "
        f"shown gain in {speed.label} that is left as time to target. Net loss: the target is reached later than by "
        "the baseline. "
        f"{counted(learning.trials, 'learning trial')} ({counted(learning.rounds, 'round')} of one seed) took "
        f"{digits(learning.elapsed_s)} s, {percent(learning.share_of_run)} of the trials' time.",
    ]
    modelled = sum(c.learning.time_to_target_modelled for c in summary.combinations)
    if modelled:
        notes.append(
            f"* The time to target of {counted(modelled, 'combination')} is modelled: a layer in it was trained only "
            f"at other {unit.many} per update, and is assumed to need the same multiple of {unit.many} here. A "
            "modelled time is never named as the soonest."
        )
    reasons = Counter(
        c.learning.time_to_target_reason for c in summary.combinations if c.learning.time_to_target_reason and c.trials
    )
    notes += [f"{counted(count, 'combination')} without a time to target: {why}." for why, count in reasons.items()]
    return notes + [f"A learning trial has no result: {failure}." for failure in learning.failed]


def _target(target: Target, learning: LearningSummary, unit: Unit) -> str:
    """What is to be reached, and where that comes from."""
    if target.share is None:
        return (
            f"a {target.measure} of {digits(target.value)}, as the mean over the updates of the last two fifths of the "
            f"{unit.many}"
        )
    policy = "greedy policy" if target.measure == "greedy" else "policy, drawing its actions,"
    start = target.ignorant_return
    come_from = f", counted from the {digits(start)} % of random actions" if start else ""
    return (
        f"the {policy} earns {digits(target.value)} % per held-out {unit.one} (mean of "
        f"{learning.evaluations_averaged} evaluations), which is {target.share:.0%} of what {target.good_policy} "
        f"earns ({digits(target.good_return)} %){come_from}"
    )


def _told(learning: LearningSummary, measure: str, system: SystemDescription) -> str:
    """How learning was compared by what the updates of the speed trials told, and why by that."""
    units, because = system.unit.many, system.no_target_because or "no two seeds of learning trials can be compared"
    return (
        f"Learning is compared by the {measure} that the updates of the speed trials report, over equal {units} and "
        f"with equal seeds, since {because}. A layer learns the same if the mean {measure} so far differs by less than "
        f"{learning.margin:.0%} of what the trials learned, and the {units} for the same mean {measure} by less than "
        f"{learning.episodes_margin}x (two one-sided tests at 5 %; one seed is one observation)."
    )

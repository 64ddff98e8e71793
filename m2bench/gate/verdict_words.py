"""A verdict in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from m2bench.records.combinations import combination_name
from m2bench.statistics.sequential import JOB_SD, MOST_BLOCKS, POWER, Rule

from .metrics import JudgedMetric
from .question import Question
from .verdict import Verdict


def sentence_of(verdict: Verdict) -> str:
    """Which verdict, and why."""
    after = f" after {verdict.blocks} blocks"
    figures = "; ".join(found.text for found in verdict.judged)
    if verdict.kind == "changed":
        return f"Learning or numerics changed{_other_side(verdict.question)}: {'; '.join(verdict.changes)}."
    if verdict.kind == "regression":
        return _regression(verdict, after)
    if verdict.kind == "inconclusive":
        compared = _other_side(verdict.question)
        allowed = f"; a loss of {share_asked(verdict.question.delta)} is allowed" if compared else ""
        return f"Inconclusive{after}{compared}: {figures}{allowed}."
    if verdict.kind == "not comparable":
        reasons = "; ".join(map(str, verdict.not_comparable)) or "nothing was compared"
        return f"Not comparable{_other_side(verdict.question, 'with')}: {reasons}."
    return f"Passed{after}{_other_side(verdict.question)}: {figures}."


def _regression(verdict: Verdict, after: str) -> str:
    reasons, phases = [], dict(verdict.phases)
    for found in verdict.slower:
        phase = phases.pop(found.metric.combination, None)  # said once, whatever else of it is slower
        reasons.append(found.text + (f", and {phase.sentence(verdict.question.unit)}" if phase else ""))
    reasons += [change.sentence(verdict.question.unit) for change in verdict.failing_counts]
    reference = verdict.question.reference
    only_fewer = not verdict.slower and all(change.after < change.before for change in verdict.counts)
    if reference is not None and only_fewer:
        outdated = f"The reference {reference.name} is outdated, since the code asks less of the device now"
        return f"{outdated}: {'; '.join(reasons)}. Update it with: m2bench baseline promote {reference.name} DIR"
    return f"Regression{_other_side(verdict.question)}{after}: {'; '.join(reasons)}."


def notes_of(question: Question, rule: Rule, judged: Sequence[JudgedMetric]) -> Iterator[str]:
    """What this machine could have detected, and gains."""
    compared = [found for found in judged if found.metric.against != "floor"]
    if compared:
        noisiest = min((found.mean for found in compared), key=lambda m: rule.smallest_found(m, question.threshold))
        smallest = -math.expm1(rule.smallest_found(noisiest, question.threshold))
        between = f"; between jobs it is {JOB_SD:.1%}" if question.reference is not None else ""
        yield (
            f"Noise: the ratio of one block has a standard deviation of {noisiest.sd:.1%}{between}. With "
            f"{question.max_blocks} blocks, {POWER:.0%} of regressions of {smallest:.1%} or more are detected."
        )
        if not rule.can_gate(noisiest, question.threshold):
            needed = rule.blocks_needed(noisiest, question.threshold)
            ways = [f"--max-blocks {needed}"] if needed < MOST_BLOCKS else []
            ways.append(f"--delta {rule.least_delta(noisiest):.0%}")
            ways += ["--base instead of a reference"] if question.reference is not None else []
            yield (
                f"This machine is too noisy to detect a loss of {share_asked(question.delta)}. Use {', '.join(ways)}, "
                "or a quieter machine."
            )
    for found in compared:
        if found.lower > 1:
            better = question.speed.words.better
            yield f"{combination_name(found.metric.combination)} is {better}: {found.value:.3f}x {found.metric.name}."


def share_asked(share: float) -> str:
    """As it is asked for: 5 %."""
    return f"{100 * share:g} %"


def _other_side(question: Question, preposition: str = "against") -> str:
    if question.base is not None:
        return f" {preposition} base {question.base}"
    return f" {preposition} reference {question.reference.name}" if question.reference is not None else ""

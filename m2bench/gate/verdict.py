"""From what was measured to a verdict, an exit code and a sentence. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from m2bench.records.combinations import Layers, combination_name
from m2bench.statistics.sequential import JOB_SD, MOST_BLOCKS, POWER, Rule

from .counts import CountChange
from .differences import agreement_changes, count_changes, grown_phases, unchecked, uncompared
from .metrics import JudgedMetric, judge_metric, metrics_of
from .pairs import Block, PhaseChange
from .question import Question
from .reasons import Aspect, Reason

Kind = Literal["pass", "regression", "inconclusive", "not comparable", "changed"]
EXIT_CODES: dict[Kind, int] = {"pass": 0, "regression": 2, "inconclusive": 3, "not comparable": 3, "changed": 4}


@dataclass(frozen=True)
class Verdict:
    """What the gate says to a question. ``decided``: more blocks would not change it."""

    question: Question
    kind: Kind
    decided: bool
    blocks: int
    judged: list[JudgedMetric]
    changes: list[str]
    """What is computed or learned otherwise."""
    counts: list[CountChange]
    """Every count that differs, also where that is no failure."""
    phases: dict[Layers, PhaseChange]
    """For each slower combination, the phase that has grown the most."""
    not_comparable: list[Reason]
    unchecked: list[Reason]
    """What nothing was compared with; the verdict does not depend on it."""
    notes: list[str]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.kind]

    @property
    def slower(self) -> list[JudgedMetric]:
        return [found for found in self.judged if found.state == "slower"]

    @property
    def failing_counts(self) -> list[CountChange]:
        return failing_counts(self.question, self.counts)

    def wrong(self, aspect: Aspect) -> list[str]:
        """Findings that fail this aspect, one sentence each."""
        found = {
            Aspect.SPEED: [found.text for found in self.slower],
            Aspect.COUNTS: [change.sentence(self.question.unit) for change in self.failing_counts],
            Aspect.AGREEMENT: self.changes,
        }
        return found[aspect]

    def undecided(self, aspect: Aspect) -> list[str]:
        """Why this aspect has neither failed nor passed."""
        noisy = [found.text for found in self.judged if found.state == "undecided" and aspect is Aspect.SPEED]
        return [*noisy, *map(str, self.not_compared(aspect))]

    def not_compared(self, aspect: Aspect) -> list[Reason]:
        """Why this aspect, or a part of it, was not compared with anything."""
        if not self.blocks and not self.wrong(aspect):
            return self.not_comparable or [Reason((*Aspect,), "trials", "nothing was measured")]
        return [reason for reason in self.not_comparable if aspect in reason.aspects]

    def not_checked(self, aspect: Aspect) -> list[Reason]:
        """Why this aspect, or a part of it, was not checked. The verdict does not depend on it."""
        return [reason for reason in self.unchecked if aspect in reason.aspects]

    @property
    def sentence(self) -> str:
        """Which verdict, and why."""
        after = f" after {self.blocks} blocks"
        figures = "; ".join(found.text for found in self.judged)
        if self.kind == "changed":
            return f"Learning or numerics changed{_other_side(self.question)}: {'; '.join(self.changes)}."
        if self.kind == "regression":
            return self._regression(after)
        if self.kind == "inconclusive":
            compared = _other_side(self.question)
            allowed = f"; a loss of {share_asked(self.question.delta)} is allowed" if compared else ""
            return f"Inconclusive{after}{compared}: {figures}{allowed}."
        if self.kind == "not comparable":
            reasons = "; ".join(map(str, self.not_comparable)) or "nothing was compared"
            return f"Not comparable{_other_side(self.question, 'with')}: {reasons}."
        return f"Passed{after}{_other_side(self.question)}: {figures}."

    def _regression(self, after: str) -> str:
        reasons, phases = [], dict(self.phases)
        for found in self.slower:
            phase = phases.pop(found.metric.combination, None)  # said once, whatever else of it is slower
            reasons.append(found.text + (f", and {phase.sentence(self.question.unit)}" if phase else ""))
        reasons += [change.sentence(self.question.unit) for change in self.failing_counts]
        reference = self.question.reference
        only_fewer = not self.slower and all(change.after < change.before for change in self.counts)
        if reference is not None and only_fewer:
            outdated = f"The reference {reference.name} is outdated, since the code asks less of the device now"
            return f"{outdated}: {'; '.join(reasons)}. Update it with: m2bench baseline promote {reference.name} DIR"
        return f"Regression{_other_side(self.question)}{after}: {'; '.join(reasons)}."


def decide(question: Question, blocks: Sequence[Block], final: bool) -> Verdict:
    """The verdict at a look; ``final``: it is the last one."""
    metrics = metrics_of(question, blocks)
    rule = Rule(question.alpha, question.max_blocks, max(1, len(metrics)))
    judged = [judge_metric(metric, rule) for metric in metrics] if blocks else []
    changes = list(agreement_changes(question, blocks))
    counts, uncounted = count_changes(question, blocks)
    missing = [*question.not_comparable, *uncounted, *uncompared(question, blocks)]
    not_checked = list(unchecked(question, blocks)) if blocks else []
    kind = _kind(judged, changes, failing_counts(question, counts), missing)
    return Verdict(
        question=question,
        kind=kind,
        decided=final or kind != "inconclusive",
        blocks=len(blocks),
        judged=judged,
        changes=changes,
        counts=counts,
        phases=dict(grown_phases(question, blocks, judged)),
        not_comparable=missing,
        unchecked=not_checked,
        notes=[*_notes(question, rule, judged), *(f"Not checked: {reason}." for reason in not_checked)],
    )


def failing_counts(question: Question, counts: list[CountChange]) -> list[CountChange]:
    """Against a reference every change, since it must then be updated; against a base only what has grown."""
    return counts if question.base is None else [change for change in counts if change.after > change.before]


def _kind(judged: list[JudgedMetric], changes: list[str], counts: list[CountChange], missing: list[Reason]) -> Kind:
    states = [found.state for found in judged]
    if changes:
        return "changed"
    if counts or "slower" in states:
        return "regression"
    if "undecided" in states:
        return "inconclusive"
    return "not comparable" if missing or not states else "pass"


# --- in words


def _notes(question: Question, rule: Rule, judged: Sequence[JudgedMetric]) -> Iterator[str]:
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

"""What the gate says to a question: which verdict, with its exit code and all that it rests on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m2bench.records.combinations import Layers

from .counts import CountChange
from .metrics import JudgedMetric
from .pairs import PhaseChange
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


def failing_counts(question: Question, counts: list[CountChange]) -> list[CountChange]:
    """Against a reference every change, since it must then be updated; against a base only what has grown."""
    return counts if question.base is None else [change for change in counts if change.after > change.before]

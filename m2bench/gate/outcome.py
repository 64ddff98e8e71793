"""All that a check found, as it is written to check.json."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from m2bench.records.combinations import combination_name
from m2bench.records.description import Facts

from .metrics import JudgedMetric
from .references.reference import Recorded
from .references.stored import CHECK_FORMAT, CHECK_SCHEMA
from .sides import Code
from .verdict import Verdict
from .verdict_words import sentence_of


@dataclass(frozen=True, kw_only=True)
class CheckOutcome:
    """The verdict, and what was measured, where and of which code.

    ``command``: the words that ask for the check again, without the base. ``date``: ISO, UTC; ``seconds``: how long it
    took. ``reference``: the name of the one that was asked for.
    """

    verdict: Verdict
    command: tuple[str, ...]
    date: str
    seconds: float
    head: Code
    base: Code | None
    reference: str | None
    counted_by: str
    machine: Facts
    workload: Facts
    measured: dict[str, Recorded]
    """By the combination's name."""

    @property
    def reproduce(self) -> str:
        """The commands that ask the same again, whatever the branches have become since."""
        base = ["--base", self.base.commit] if self.base else []
        return _checkout(self.head) + " ".join([*self.command, *base])

    @property
    def findings(self) -> list[str]:
        """Everything that is not as it was, one sentence each."""
        verdict = self.verdict
        return [
            *verdict.changes,
            *(found.text for found in verdict.slower),
            *(change.sentence(verdict.question.unit) for change in verdict.counts),
            *map(str, verdict.not_comparable),
        ]

    @property
    def in_words(self) -> str:
        """What is printed: the verdict, what else is to be known, and how to ask again."""
        verdict = self.verdict
        lines = [sentence_of(verdict), *verdict.notes, *map(str, verdict.not_comparable)]
        return "\n".join(dict.fromkeys([*lines, f"Again: {self.reproduce}"]))

    def to_json(self) -> dict[str, object]:
        """The document of check.json; its keys are read by other tools."""
        verdict, question = self.verdict, self.verdict.question
        return {
            "format": CHECK_FORMAT,
            "schema": CHECK_SCHEMA,
            "verdict": verdict.kind,
            "exit_code": verdict.exit_code,
            "sentence": sentence_of(verdict),
            "reproduce": self.reproduce,
            "date": self.date,
            "seconds": self.seconds,
            "blocks": verdict.blocks,
            "delta": question.delta,
            "alpha": question.alpha,
            "max_blocks": question.max_blocks,
            "head": _code(self.head),
            "base": self.base and _code(self.base),
            "reference": self.reference,
            "counted_by": self.counted_by,
            "machine": self.machine,
            "workload": self.workload,
            "shown_as": asdict(question.speed),
            "metrics": [_metric(found) for found in verdict.judged],
            "counts": [
                {
                    **asdict(change),
                    "combination": combination_name(change.combination),
                    "sentence": change.sentence(question.unit),
                }
                for change in verdict.counts
            ],
            "changes": verdict.changes,
            "phases": {combination_name(c): asdict(change) for c, change in verdict.phases.items()},
            "not_comparable": list(map(str, verdict.not_comparable)),
            "unchecked": list(map(str, verdict.unchecked)),
            "notes": verdict.notes,
            "measured": {name: asdict(recorded) for name, recorded in self.measured.items()},
        }


def _metric(found: JudgedMetric) -> Mapping[str, object]:
    metric = found.metric
    return {
        "name": metric.name,
        "combination": combination_name(metric.combination),
        "against": metric.against,
        "state": found.state,
        "value": found.value,
        "bounds": [found.lower, found.upper],
        "sd": found.sd,
        "logs": metric.samples[0].logs,
        "text": found.text,
    }


def _code(code: Code) -> Mapping[str, object]:
    return {"commit": code.commit, "dirty": code.dirty, "name": code.name}


def _checkout(head: Code) -> str:
    """What brings a working tree to this commit; GitHub checks out merges that must be fetched."""
    if head.dirty or not head.commit:
        return ""
    fetch = f"git fetch origin {head.commit} && " if os.environ.get("GITHUB_SHA") == head.commit else ""
    return f"{fetch}git checkout {head.commit} && "

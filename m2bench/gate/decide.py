"""From what was measured to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from m2bench.statistics.sequential import Rule

from .counts import CountChange
from .differences import agreement_changes, count_changes, grown_phases, unchecked, uncompared
from .metrics import JudgedMetric, judge_metric, metrics_of
from .pairs import Block
from .question import Question
from .reasons import Reason
from .verdict import Kind, Verdict, failing_counts
from .verdict_words import notes_of


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
        notes=[*notes_of(question, rule, judged), *(f"Not checked: {reason}." for reason in not_checked)],
    )


def _kind(judged: list[JudgedMetric], changes: list[str], counts: list[CountChange], missing: list[Reason]) -> Kind:
    states = [found.state for found in judged]
    if changes:
        return "changed"
    if counts or "slower" in states:
        return "regression"
    if "undecided" in states:
        return "inconclusive"
    return "not comparable" if missing or not states else "pass"

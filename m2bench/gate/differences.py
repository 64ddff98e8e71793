"""Comparisons without statistics: what is computed, learned and counted, and which phase has become slower. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.results import TrialResult

from .agreement import checks_gone, failed_checks, learning_change, untold
from .counts import CountChange, compare_counts, counted_lines, counts_of
from .metrics import JudgedMetric
from .pairs import Block, PhaseChange, grown_most, median_phases
from .question import Question
from .reasons import Aspect, Reason


def agreement_changes(question: Question, blocks: Sequence[Block]) -> Iterator[str]:
    """What the head computes or learns otherwise than it should, or than the base does."""
    for combination in question.combinations:
        heads, bases = _trials(blocks, "head", combination), _bases(question, blocks, combination)
        yield from failed_checks(combination, heads, bases)
        is_comparable = bases and question.repeats_itself
        change = learning_change(combination, list(zip(bases, heads, strict=True))) if is_comparable else None
        if change is not None:
            yield change


def uncompared(question: Question, blocks: Sequence[Block]) -> Iterator[Reason]:
    """Why learning or numerics cannot be compared: what the other side has, and the head lacks."""
    for combination in question.combinations:
        heads, bases = _trials(blocks, "head", combination), _bases(question, blocks, combination)
        recorded = question.recorded(combination)
        if question.base is not None:
            yield from untold(combination, list(zip(bases, heads, strict=True)))
            yield from checks_gone(combination, (name for base in bases for name in base.numerics), heads)
        elif recorded is not None:
            yield from checks_gone(combination, recorded.gates, heads)


def unchecked(question: Question, blocks: Sequence[Block]) -> Iterator[Reason]:
    """What was not checked of the head, since there was nothing to compare it with."""
    if question.base is None and question.reference is None:
        yield Reason((Aspect.COUNTS,), "counts", "there is no base and no reference to compare them with")
    for combination in question.combinations:
        name, bases = combination_name(combination), _bases(question, blocks, combination)
        if bases and not any(map(counts_of, bases)):
            yield Reason((Aspect.COUNTS,), "counts", f"{name}: the base has no counts")
        if bases and not question.repeats_itself:
            text = f"{name}: the trainer does not repeat itself with equal seeds"
            yield Reason((Aspect.AGREEMENT,), "learning", text)
        elif bases and not any(base.training_return or base.losses for base in bases):
            yield Reason((Aspect.AGREEMENT,), "learning", f"{name}: the base reports neither a return nor a loss")
        if not any(head.numerics for head in _trials(blocks, "head", combination)):
            yield Reason((Aspect.AGREEMENT,), "numerics", f"{name}: no numerics check was run")


def count_changes(question: Question, blocks: Sequence[Block]) -> tuple[list[CountChange], list[Reason]]:
    """The counts that differ, and why counts cannot be compared."""
    changes: list[CountChange] = []
    unclear: list[Reason] = []
    if question.reference is not None and not question.same_counting:
        text = "the reference was counted with another version of torch or m2bench, or on another device"
        unclear.append(Reason((Aspect.COUNTS,), "counts", text))
    for combination in question.combinations:
        heads, recorded = _trials(blocks, "head", combination), question.recorded(combination)
        if question.base is not None:
            bases = _trials(blocks, "base", combination)
            before, lines = [counts_of(base) for base in bases], counted_lines(bases)
        elif recorded is not None and question.same_counting:
            before, lines = [recorded.counts] * len(heads), recorded.lines
        else:
            continue
        pairs = list(zip(before, map(counts_of, heads), strict=True))
        found, not_found = compare_counts(combination, pairs, (lines, counted_lines(heads)))
        changes += found
        unclear += not_found
    return changes, unclear


def grown_phases(
    question: Question, blocks: Sequence[Block], judged: Sequence[JudgedMetric]
) -> Iterator[tuple[Layers, PhaseChange]]:
    """For each slower combination, the phase that has grown the most."""
    for combination in {found.metric.combination: None for found in judged if found.state == "slower"}:
        heads, recorded = _trials(blocks, "head", combination), question.recorded(combination)
        if question.base is not None:
            bases = _trials(blocks, "base", combination)
            pairs = [(median_phases([base]), median_phases([head])) for base, head in zip(bases, heads, strict=True)]
        elif recorded is not None and question.same_machine:
            pairs = [(recorded.phase_ms, median_phases(heads))]
        else:
            continue
        grown = grown_most(pairs)
        if grown is not None:
            yield combination, grown


def _trials(blocks: Sequence[Block], side: str, combination: Layers) -> list[TrialResult]:
    return [block[side, combination] for block in blocks]


def _bases(question: Question, blocks: Sequence[Block], combination: Layers) -> list[TrialResult]:
    """Empty without a base."""
    return [] if question.base is None else _trials(blocks, "base", combination)

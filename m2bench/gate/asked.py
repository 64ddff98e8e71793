"""What the user asks of a check, and the question that this is once both sides are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from m2bench.errors import UserError
from m2bench.records.combinations import combination_name
from m2bench.records.same_machine import differing
from m2bench.text.speed import Speed

from .measure import Request
from .preparation import Sides
from .question import EPISODES, SPEEDUP, Question
from .reasons import Aspect, Reason
from .references.reference import Reference

COMPARED_WITH_REFERENCE = (Aspect.SPEED, Aspect.COUNTS)


@dataclass(frozen=True)
class Asked:
    """What the user asks of a check. ``command``: the words that ask for it again, without the base."""

    request: Request
    delta: float
    alpha: float
    max_blocks: int
    base: str | None = None
    against: str | None = None
    floors: dict[str, float] = field(default_factory=dict)
    command: tuple[str, ...] = ("m2bench", "check")


def question_of(asked: Asked, sides: Sides, reference: Reference | None) -> Question:
    system = sides.facts["head"].description.system
    question = Question(
        combinations=asked.request.combinations,
        in_turns=tuple(c for c in asked.request.combinations if sides.takes_turns(c)),
        delta=asked.delta,
        alpha=asked.alpha,
        max_blocks=asked.max_blocks,
        unit=system.unit,
        rate=system.rate,
        base=sides.base.name if sides.base else None,
        floors=asked.floors,
        repeats_itself=all(side.description.workload.repeats_itself is not False for side in sides.facts.values()),
    )
    _refuse_another_unit(asked.floors, question.speed)
    if reference is None:
        return question
    facts, saved = sides.facts["head"], f"the reference {reference.name}"
    other_work = differing(reference.workload, facts.workload(asked.request.workload))
    other_work += reference.counts_otherwise(question.speed)
    if other_work:
        text = f"{saved} is of another workload ({'; '.join(other_work)})"
        return replace(question, not_comparable=(Reason(COMPARED_WITH_REFERENCE, "workload", text),))
    known = [combination_name(c) for c in reference.layers]
    reasons = [
        Reason(COMPARED_WITH_REFERENCE, combination_name(c), f"{saved} has only {', '.join(known)}")
        for c in asked.request.combinations
        if combination_name(c) not in known
    ]
    others = differing(reference.machine, facts.machine)
    if others:
        text = f"{saved} is of another machine ({'; '.join(others)}); save one here, or use --min"
        reasons.append(Reason((Aspect.SPEED,), "speeds", text))
    return replace(
        question,
        reference=reference,
        not_comparable=tuple(reasons),
        same_machine=not others,
        same_counting=reference.counted_by == facts.counted_by
        and all(reference.machine.get(key) == facts.machine.get(key) for key in ("torch", "device")),
    )


def _refuse_another_unit(floors: Mapping[str, float], speed: Speed) -> None:
    """Raise UserError for a floor in a unit that the speed is not counted in, or of what is better when it is less."""
    for name in floors.keys() - {EPISODES, SPEEDUP}:
        asked = f'--min "{floors[name]:.12g} {name}"'
        if speed.rate.lower_is_better:
            raise UserError(
                f"{asked} is a lower bound, and lower {speed.label} is better.",
                f"Give --min {SPEEDUP}=1.5 with --layers baseline,a+b, or let the command print a speed.",
            )
        if name != speed.label:
            raise UserError(
                f"{asked} is in another unit: this trainer is measured in {speed.label}.",
                f'Give it as --min "{floors[name]:.12g} {speed.label}", if that is what you mean.',
            )

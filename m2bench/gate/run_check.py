"""The gate's job: get the sides ready, measure block by block until the verdict is clear, and tell the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from m2bench.errors import UserError
from m2bench.records.combinations import combination_name
from m2bench.records.refusals import refuse_wrong_device
from m2bench.records.same_machine import differing
from m2bench.statistics.sequential import LEAST_BLOCKS, looks_until
from m2bench.text.speed import Speed

from .facts import SideFacts
from .measure import DivergedError, Request
from .metrics import metrics_of
from .outcome import CheckOutcome
from .pairs import Block
from .preparation import Sides, prepared
from .question import EPISODES, SPEEDUP, Question
from .reasons import Aspect, Reason
from .references.reference import Reference, now, record, with_level
from .references.stored import find
from .repository import find_commit, has_repository, repository
from .verdict import Verdict, decide

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


def run_check(asked: Asked, folder: Path, console: Console) -> CheckOutcome:
    """Run the gate. Raises UserError for what cannot be measured.

    Floors alone need no git repository.
    """
    began = time.monotonic()
    needs_repository = asked.base is not None or asked.against is not None
    repo = repository(Path.cwd()) if needs_repository or has_repository(Path.cwd()) else None
    reference = find(repo, asked.against) if repo is not None and asked.against is not None else None
    commit = find_commit(repo, asked.base) if repo is not None and asked.base is not None else None
    request = asked.request
    if reference is not None and request.threads is None:
        request = replace(request, threads=reference.threads)  # its speeds are comparable to these
    with prepared(repo, commit, request, folder, console) as sides:
        question = _question(asked, sides, reference)
        blocks, verdict = _measure(question, asked.request, sides, console)
    facts = sides.facts["head"]
    return CheckOutcome(
        verdict=verdict,
        command=asked.command,
        date=now(),
        seconds=round(time.monotonic() - began, 1),
        head=sides.head,
        base=sides.base,
        reference=asked.against,
        counted_by=facts.counted_by,
        machine=facts.machine,
        workload=facts.workload(asked.request.workload),
        measured=record(blocks, question.combinations) if blocks else {},
    )


def measure_reference(name: str, request: Request, blocks: int, folder: Path, console: Console) -> Reference:
    """Measure the working tree alone over so many blocks, as a reference that is not written yet."""
    repo = repository(Path.cwd())
    with prepared(repo, None, request, folder, console) as sides, _progress(blocks, console) as step:
        _changed_arithmetic(sides.facts)  # refuses a device that computes wrongly
        measured = [step(sides.run_block(number, request)) for number in range(1, blocks + 1)]
    facts = sides.facts["head"]
    reference = Reference(
        name=name,
        created=now(),
        commit=sides.head.name,
        counted_by=facts.counted_by,
        machine=facts.machine,
        workload=facts.workload(request.workload),
        combinations=record(measured, request.combinations),
        shown_as=Speed.of(facts.description.system),
    )
    return with_level(None, reference, "saved")


def _question(asked: Asked, sides: Sides, reference: Reference | None) -> Question:
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


def _changed_arithmetic(facts: Mapping[str, SideFacts]) -> str | None:
    """What the head's plain trainer gets wrong in single precision where the base's does not.

    Raises UserError where it is the device that computes wrongly: the base finds so as well, or does not look.
    """
    head = facts["head"]
    faults = head.device_faults or ()
    base_is_right = "base" in facts and facts["base"].device_faults == ()
    if not base_is_right:
        refuse_wrong_device(head.device, faults)
    if not faults:
        return None
    return f"the head's plain trainer in single precision is wrong where the base's is right: {'; '.join(faults)}"


def _measure(question: Question, request: Request, sides: Sides, console: Console) -> tuple[list[Block], Verdict]:
    """Blocks until a look decides; a few where counts alone can be compared, none where nothing can."""
    blocks: list[Block] = []
    changed = _changed_arithmetic(sides.facts)
    if changed is not None:
        return blocks, _changed(question, blocks, changed)
    has_metrics = bool(metrics_of(question, blocks))
    if not has_metrics and question.reference is None:
        return blocks, decide(question, blocks, final=True)
    looks = looks_until(question.max_blocks) if has_metrics else (LEAST_BLOCKS,)
    with _progress(question.max_blocks, console) as step:
        for look in looks:
            try:
                while len(blocks) < look:
                    blocks.append(step(sides.run_block(len(blocks) + 1, request)))
            except DivergedError as error:
                enough = blocks if len(blocks) >= LEAST_BLOCKS else []  # fewer have no spread to judge by
                return enough, _changed(question, enough, str(error))
            verdict = decide(question, blocks, final=look == looks[-1])
            if verdict.decided:
                break
    return blocks, verdict


def _changed(question: Question, blocks: list[Block], change: str) -> Verdict:
    """The verdict where no trial is needed, or none is possible any more, to see a change."""
    return replace(decide(question, blocks, final=True), kind="changed", changes=[change])


@contextmanager
def _progress(blocks: int, console: Console) -> Iterator[Callable[[Block], Block]]:
    """Shows how many of at most ``blocks`` are done; drawn between them alone, since drawing takes the trials' CPU."""
    columns = (TextColumn("blocks, at most"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, auto_refresh=False) as progress:
        task = progress.add_task("", total=blocks)

        def step(block: Block) -> Block:
            progress.update(task, advance=1, refresh=True)
            return block

        yield step

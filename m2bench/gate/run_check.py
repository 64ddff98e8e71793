"""The gate's job: get the sides ready, measure block by block until the verdict is clear, and tell the outcome."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from m2bench.statistics.sequential import LEAST_BLOCKS, looks_until

from .asked import Asked, question_of
from .decide import decide
from .facts import changed_arithmetic
from .measure import DivergedError, Request
from .metrics import metrics_of
from .outcome import CheckOutcome
from .pairs import Block
from .preparation import Sides, prepared
from .progress import progress_of
from .question import Question
from .references.reference import now, record
from .references.stored import find
from .repository import find_commit, has_repository, repository
from .verdict import Verdict


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
        question = question_of(asked, sides, reference)
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


def _measure(question: Question, request: Request, sides: Sides, console: Console) -> tuple[list[Block], Verdict]:
    """Blocks until a look decides; a few where counts alone can be compared, none where nothing can."""
    blocks: list[Block] = []
    changed = changed_arithmetic(sides.facts)
    if changed is not None:
        return blocks, _changed(question, blocks, changed)
    has_metrics = bool(metrics_of(question, blocks))
    if not has_metrics and question.reference is None:
        return blocks, decide(question, blocks, final=True)
    looks = looks_until(question.max_blocks) if has_metrics else (LEAST_BLOCKS,)
    with progress_of(question.max_blocks, console) as step:
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

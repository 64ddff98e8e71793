"""A reference measured of the working tree alone."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from m2bench.text.speed import Speed

from .facts import changed_arithmetic
from .measure import Request
from .preparation import prepared
from .progress import progress_of
from .references.reference import Reference, now, record, with_level
from .repository import repository


def measure_reference(name: str, request: Request, blocks: int, folder: Path, console: Console) -> Reference:
    """Measure the working tree alone over so many blocks, as a reference that is not written yet."""
    repo = repository(Path.cwd())
    with prepared(repo, None, request, folder, console) as sides, progress_of(blocks, console) as step:
        changed_arithmetic(sides.facts)  # refuses a device that computes wrongly
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

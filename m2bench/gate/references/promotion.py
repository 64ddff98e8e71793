"""A reference takes over what a check has measured."""

from __future__ import annotations

from pathlib import Path

from m2bench.errors import UserError
from m2bench.records.same_machine import differing

from .reference import Reference, shifted, with_level
from .stored import load_check


def taken_over(reference: Reference, folder: Path, kind: str, reason: str | None) -> Reference:
    """``reference`` at the level that the check in ``folder`` measured: "promoted" with the check's spread, or
    "annotated" with the spread that it had.

    Raises UserError for a check that cannot be read, that found changed learning, that trained something else, or that
    did not measure all combinations of the reference.
    """
    check = load_check(folder)
    if check.changes:
        raise UserError(
            f"the check in {folder} found that learning or numerics changed: {check.changes[0]}.",
            "Fix that first: a reference is for code that computes what it should.",
        )
    other = differing(reference.workload, check.workload) + reference.counts_otherwise(check.shown_as)
    if other:
        raise UserError(
            f"the check in {folder} trained something else than {reference.name} ({'; '.join(other)}).",
            f"Save another reference, or this one anew: m2bench baseline save {reference.name} --replace",
        )
    missing = [combination for combination in reference.combinations if combination not in check.measured]
    if missing:
        raise UserError(
            f"the check in {folder} did not measure {', '.join(missing)}, which {reference.name} has.",
            "Measure all, with the other options as they were: "
            f"m2bench check --against {reference.name} --layers {','.join(reference.combinations)}",
        )
    new = Reference(
        name=reference.name,
        created=check.date,
        commit=check.commit,
        counted_by=check.counted_by,
        machine=check.machine,
        workload=check.workload,
        combinations=check.measured,
        shown_as=check.shown_as or reference.shown_as,
    )
    return with_level(reference, shifted(reference, new) if kind == "annotated" else new, kind, reason)

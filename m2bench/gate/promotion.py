"""A reference takes over what a check has measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from m2bench.records.errors import UserError

from .job import FORMAT, SCHEMA
from .references import Recorded, Reference, differing, history_entry, shifted
from .soundness import refuse_unsound_check

Document = dict[str, Any]


def taken_over(reference: Reference, folder: Path, kind: str, reason: str | None) -> Reference:
    """``reference`` at the level that the check in ``folder`` measured: "promoted" with the check's spread, or
    "annotated" with the spread that it had.

    Raises UserError for a check that cannot be read, that trained something else, or that did not measure all
    combinations of the reference.
    """
    document = _read(folder)
    other = differing(reference.workload, document["workload"])
    if other:
        raise UserError(
            f"the check in {folder} trained something else than {reference.name} ({'; '.join(other)}).",
            f"Save another reference, or this one anew: m2bench baseline save {reference.name} --replace",
        )
    missing = [combination for combination in reference.combinations if combination not in document["measured"]]
    if missing:
        raise UserError(
            f"the check in {folder} did not measure {', '.join(missing)}, which {reference.name} has.",
            "Measure all, with the other options as they were: "
            f"m2bench check --against {reference.name} --layers {','.join(reference.combinations)}",
        )
    new = Reference(
        name=reference.name,
        created=document["date"],
        commit=document["head"]["name"],
        counted_by=document["counted_by"],
        machine=document["machine"],
        workload=document["workload"],
        combinations={name: Recorded(**recorded) for name, recorded in document["measured"].items()},
    )
    if kind == "annotated":
        new = shifted(reference, new)
    return replace(new, history=[*reference.history, history_entry(kind, new, reason)])


def _read(folder: Path) -> Document:
    path = folder / "check.json"
    advice = "Give the folder that m2bench check wrote (its --out)."
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", advice) from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}).", advice) from error
    if not isinstance(document, dict) or (document.get("format"), document.get("schema")) != (FORMAT, SCHEMA):
        raise UserError(f"{path} is not what this m2bench check writes.", advice)
    if not document.get("measured"):
        raise UserError(f"the check in {folder} measured nothing.", "Run one that does.")
    try:
        refuse_unsound_check(document)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}.", "Run the check again.") from error
    if document.get("changes"):
        raise UserError(
            f"the check in {folder} found that learning or numerics changed: {document['changes'][0]}.",
            "A reference is for code that computes what it should.",
        )
    return dict(document)

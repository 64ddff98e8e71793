"""The folder of a run on several machines: a run of its own for every kind of machine, and what happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from m2bench.errors import UserError
from m2bench.options.run_spec import RunSpec
from m2bench.records.documents import read, to_json

from .files import write_file
from .results_database import ASKED_OF_FLEET, FILE_NAME

EVENTS = "events.jsonl"
SCHEMA = 1


@dataclass(frozen=True)
class FleetEvent:
    """Something that happened to a machine at this time (ISO, UTC), as a clause to follow its name."""

    time: str
    machine: str
    text: str


@dataclass(frozen=True)
class _Asked:
    schema: int
    spec: RunSpec


def is_fleet(folder: Path) -> bool:
    """Whether a run on several machines was begun in the folder."""
    return (folder / ASKED_OF_FLEET).exists()


def begin_fleet(folder: Path, spec: RunSpec) -> None:
    """Note what every kind of machine is asked to do; UserError when that cannot be written."""
    write_file(folder / ASKED_OF_FLEET, json.dumps(to_json(_Asked(SCHEMA, spec)), indent=1) + "\n")


def asked_of_fleet(folder: Path) -> RunSpec:
    """What every kind of machine is asked to do; UserError where that cannot be read."""
    path = folder / ASKED_OF_FLEET
    try:
        asked = read(_Asked, json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}).", "Give the folder that m2bench ablate wrote.") from error
    if asked.schema != SCHEMA:
        raise UserError(f"{path} has schema {asked.schema}, and this m2bench reads {SCHEMA}.", "Begin a new run.")
    return asked.spec


def folders_of_kinds(folder: Path) -> Mapping[str, Path]:
    """The runs of the kinds of machines, by their names."""
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{FILE_NAME}"))}


def add_event(folder: Path, machine: str, text: str) -> None:
    """Note what happened, now, on a line of its own; UserError when it cannot be written."""
    event = FleetEvent(datetime.now(UTC).isoformat(timespec="seconds"), machine, text)
    try:
        with (folder / EVENTS).open("a+b") as file:
            file.seek(max(file.tell() - 1, 0))
            was_cut_off = file.read() not in (b"", b"\n")
            file.write(b"\n" * was_cut_off + json.dumps(to_json(event)).encode() + b"\n")
    except OSError as error:
        raise UserError(f"{folder / EVENTS}: {error.strerror}.", "Free some disk space, and resume the run.") from error


def events_of(folder: Path) -> list[FleetEvent]:
    """All that happened, in order; a line that was cut off is left out."""
    path, found = folder / EVENTS, []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError):
            found.append(read(FleetEvent, json.loads(line)))
    return found

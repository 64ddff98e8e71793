"""The files of references, which are committed and reviewed like code, and those of checks."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from m2bench.errors import UserError, quoted
from m2bench.store.files import write_file
from m2bench.store.folders import make_folder

from .reading import StoredCheck, read_check, read_reference
from .reference import Reference

FOLDER = Path(".m2bench") / "references"
FORMAT = "m2bench reference"
SCHEMA = 2  # 2: what counted, the gates that were run, the canary's level and dates of measurement in the history
CHECK_FORMAT = "m2bench check"
CHECK_SCHEMA = 2
CHECK_FILE = "check.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def reference_path(repo: Path, name: str) -> Path:
    """Where the reference of this name lies; UserError for what cannot be a file's name."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot be the name of a reference.", "Use letters, digits, dots, - and _.")
    return repo / FOLDER / f"{name}.json"


def read_references(repo: Path) -> list[Reference]:
    """All references of the repository, the newest first."""
    found = [_load(path) for path in sorted((repo / FOLDER).glob("*.json"))]
    return sorted(found, key=lambda reference: reference.created, reverse=True)


def find(repo: Path, name: str) -> Reference:
    """The reference of this name; UserError when there is none, or none that can be read."""
    path = reference_path(repo, name)
    if not path.exists():
        there = ", ".join(sorted(other.stem for other in path.parent.glob("*.json"))) or "none"
        raise UserError(
            f"there is no reference {name!r}: {path} does not exist.",
            f"There are: {there}. Save one with: m2bench baseline save {name}",
        )
    return _load(path)


def write_reference(repo: Path, reference: Reference) -> Path:
    """Write the reference, whole or not at all; UserError when the disk refuses, and an older one is as it was."""
    path = reference_path(repo, reference.name)
    document = {"format": FORMAT, "schema": SCHEMA, **asdict(reference)}
    del document["name"]  # the file's name says it
    make_folder(path.parent)
    write_file(path, json.dumps(document, indent=1) + "\n")
    return path


def load_check(folder: Path) -> StoredCheck:
    """The check whose results are in ``folder``; UserError for one that cannot be read, or that measured nothing."""
    path = folder / CHECK_FILE
    document = _document(path, "Give the folder that m2bench check wrote (its --out).")
    if (document.get("format"), document.get("schema")) != (CHECK_FORMAT, CHECK_SCHEMA):
        raise UserError(f"{path} is not a result of this version of m2bench check.", "Run the check again.")
    if not document.get("measured"):
        raise UserError(f"the check in {folder} measured nothing.", "Run one that does.")
    try:
        return read_check(document)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}.", "Run the check again.") from error


def load_checks(folder: Path) -> list[StoredCheck]:
    """All checks below the folder, the oldest first; files that are damaged, or are of others, are passed over."""
    found = []
    for path in sorted(folder.rglob(CHECK_FILE)):
        try:
            document = json.loads(path.read_text())
            check = read_check(document)
        except (OSError, ValueError):
            continue
        if document.get("format") == CHECK_FORMAT:
            found.append(check)
    return sorted(found, key=lambda check: check.date)


def _load(path: Path) -> Reference:
    advice = f"Restore it from git, or delete it and save it anew: m2bench baseline save {quoted(Path(path.stem))}"
    document = _document(path, advice)
    if document.get("format") != FORMAT:
        raise UserError(f"{path} is not a reference of m2bench.", advice)
    if document.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has reference schema {document.get('schema')}, and this m2bench reads schema {SCHEMA}.",
            "Use the version of m2bench that wrote it, or save it anew.",
        )
    try:
        return read_reference(path.stem, document)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}.", advice) from error


def _document(path: Path, advice: str) -> dict[str, object]:
    """The object in a file, empty where it holds something else; UserError where it cannot be read."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", advice) from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}).", advice) from error
    return document if isinstance(document, dict) else {}

"""Stored references: what one run measured, as a small JSON file that is committed and reviewed like code."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from m2bench.records.combinations import BASELINE, Layers, combination_name, layers_of
from m2bench.records.description import Description
from m2bench.records.errors import UserError, quoted

from .counts import Counted, counted, lines_of
from .measure import Block
from .phases import median_phases
from .soundness import refuse_unsound_reference

FOLDER = Path(".m2bench") / "references"
FORMAT = "m2bench reference"
SCHEMA = 2  # 2: what counted, the gates that were run, the canary's level and dates of measurement in the history
DIGITS = 5  # of a figure that are stored; its noise is in the second or third
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Document = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """One combination of a run, by block: ``speedup`` over the baseline of the same block (empty for the baseline
    itself), ``canary_s`` the seconds of a fixed computation beside the trial. Counts and phases (ms) are per episode.
    """

    episodes_per_min: list[float]
    speedup: list[float]
    canary_s: list[float]
    counts: Counted
    lines: Document
    phase_ms: dict[str, float]
    gates: list[str]
    """Names of the numerics gates that all trials were put through."""


@dataclass(frozen=True)
class Reference:
    """What a run measured, on which machine, of which commit, ``counted_by`` which m2bench; ``created``: when it was
    measured; ``history``: every level it has had, oldest first.
    """

    name: str
    created: str
    commit: str
    counted_by: str
    machine: Document
    workload: Document
    combinations: dict[str, Recorded]
    history: list[Document] = field(default_factory=list)

    @property
    def layers(self) -> tuple[Layers, ...]:
        """Its combinations, the baseline first."""
        return tuple(layers_of(name) for name in self.combinations)

    def levels(self) -> dict[str, dict[str, float]]:
        """Geometric means of what was measured, by combination."""
        return {name: level_of(recorded) for name, recorded in self.combinations.items()}


def machine_identity(description: Description) -> Document:
    """What must be equal for absolute speeds to be comparable. Memory in whole GB: a new kernel keeps some back."""
    from m2bench.findings.compare import IDENTITY  # brings the analysis along, which takes half a second

    identity = {key: description.facts.get(key) for key in IDENTITY}
    return {**identity, "memory_mb": round(description.machine.memory_mb, -3)}


def counted_by(description: Description) -> str:
    """What counted in the trials: another m2bench may count otherwise, and says so by a number of its own."""
    return f"m2bench {description.machine.m2bench}, counting {description.counting}"


def workload_identity(workload: Document, description: Description) -> Document:
    """What must be equal for any figures to be comparable: the options, and the market by its contents."""
    market = description.workload.market
    return {**workload, "data": market["name"], "device": None, "sha256": market["sha256"]}


def differing(a: Document, b: Document) -> list[str]:
    """What differs between two identities, as "key: one and other"."""
    return [f"{key}: {a.get(key)} and {b.get(key)}" for key in {**a, **b} if a.get(key) != b.get(key)]


def record(blocks: Sequence[Block], combinations: Sequence[Layers]) -> dict[str, Recorded]:
    """What the head's trials of these blocks measured, by the combination's name."""
    return {combination_name(c): _record(blocks, c) for c in combinations}


def level_of(recorded: Recorded) -> dict[str, float]:
    """Geometric means of what was measured of a combination."""
    measured = {name: getattr(recorded, name) for name in ("episodes_per_min", "speedup", "canary_s")}
    return {name: _level(values) for name, values in measured.items() if values}


def _record(blocks: Sequence[Block], combination: Layers) -> Recorded:
    from m2bench.statistics.steady import steady_speed

    results = [block["head", combination] for block in blocks]
    speeds = [steady_speed(result) for result in results]
    plain = [steady_speed(block["head", BASELINE]) for block in blocks if ("head", BASELINE) in block]
    is_over = combination != BASELINE and len(plain) == len(speeds)
    return Recorded(
        episodes_per_min=[_rounded(speed) for speed in speeds],
        speedup=[_rounded(speed / other) for speed, other in zip(speeds, plain, strict=True)] if is_over else [],
        canary_s=[_rounded(min(result.canary_s)) for result in results],
        counts=counted(results),
        lines=dict(lines_of(results)),
        phase_ms={name: _rounded(value) for name, value in median_phases(results).items()},
        gates=sorted(set.intersection(*(set(result.numerics) for result in results))),
    )


def history_entry(kind: str, reference: Reference, reason: str | None = None) -> Document:
    """One line of a reference's history: its level from now on, and why."""
    return {
        "date": reference.created, "kind": kind, "commit": reference.commit, "reason": reason,
        "machine": reference.machine, "levels": reference.levels(),
    }  # fmt: skip


def shifted(old: Reference, new: Reference) -> Reference:
    """``new`` with the spread of ``old``: an intended change resets the level, and says nothing of the noise."""
    combinations = dict(new.combinations)
    for name, recorded in new.combinations.items():
        before = old.combinations.get(name)
        if before is None or bool(before.speedup) != bool(recorded.speedup):
            continue  # it had no such spread
        combinations[name] = replace(
            recorded,
            episodes_per_min=_at_level(before.episodes_per_min, recorded.episodes_per_min),
            speedup=_at_level(before.speedup, recorded.speedup),
            canary_s=_at_level(before.canary_s, recorded.canary_s),
        )
    return replace(new, combinations=combinations)


def _at_level(spread: list[float], level: list[float]) -> list[float]:
    if not level:
        return level
    factor = _level(level) / _level(spread)
    return [_rounded(value * factor) for value in spread]


def now() -> str:
    """The present moment, ISO, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def reference_path(repo: Path, name: str) -> Path:
    """Where the reference of this name lies; UserError for what cannot be a file's name."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot be the name of a reference.", "Use letters, digits, dots, - and _.")
    return repo / FOLDER / f"{name}.json"


def list_references(repo: Path) -> list[Reference]:
    """All references of the repository, the newest first."""
    found = [load(path) for path in sorted((repo / FOLDER).glob("*.json"))]
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
    return load(path)


def load(path: Path) -> Reference:
    """The reference in this file; UserError for one that cannot be read or is none of ours."""
    advice = f"Restore it from git, or delete it and save it anew: m2bench baseline save {quoted(Path(path.stem))}"
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Give yourself access to it.") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}).", advice) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UserError(f"{path} is not a reference of m2bench.", advice)
    if document.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has reference schema {document.get('schema')}, and this m2bench reads schema {SCHEMA}.",
            "Use the version of m2bench that wrote it, or save it anew.",
        )
    try:
        refuse_unsound_reference(document)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}.", advice) from error
    return _from_document(path.stem, document)


def _from_document(name: str, document: Document) -> Reference:
    combinations = {key: Recorded(**recorded) for key, recorded in document["combinations"].items()}
    keys = ("created", "commit", "counted_by", "machine", "workload")
    return Reference(
        name, **{key: document[key] for key in keys}, combinations=combinations, history=document["history"]
    )


def save(repo: Path, reference: Reference) -> Path:
    """Write the reference, whole or not at all; UserError when the disk refuses, and an older one is as it was."""
    path = reference_path(repo, reference.name)
    document = {"format": FORMAT, "schema": SCHEMA, **asdict(reference)}
    del document["name"]  # the file's name says it
    write_whole(path, json.dumps(document, indent=1) + "\n")
    return path


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or as it was; UserError when the disk refuses."""
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        partial = Path(name)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(0o644)
        os.replace(partial, path)
    except OSError as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        kept = "the one that was there is kept" if path.exists() else "nothing was written"
        raise UserError(
            f"{path} cannot be written: {error.strerror}; {kept}.", "Make room, or give yourself access, and try again."
        ) from error


def _level(values: Sequence[float]) -> float:
    from math import exp, log

    return _rounded(exp(fmean(log(value) for value in values)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")

"""Stored references and checks, read from JSON. Every value that is used later is checked here.

Everything raises ValueError for the first thing that is wrong, and says where it stands.
"""

from __future__ import annotations

import sys
from collections.abc import Sized
from dataclasses import dataclass, fields

from m2bench.options.known_systems import PROGRAMS
from m2bench.records.combinations import BASELINE, combination_name
from m2bench.records.description import Facts
from m2bench.records.documents import read
from m2bench.records.spec import present_module
from m2bench.text.speed import Speed

from .reference import HistoryEntry, Recorded, Reference

LEVELS = ("saved", "promoted", "annotated")  # how a level of a reference came about
LEAST_BLOCKS = 2  # fewer have no spread
SHOWN_OF_MACHINE = ("chip", "device", "torch")
POSITIVE = sys.float_info.min


@dataclass(frozen=True)
class StoredCheck:
    """What of a check can become a level of a reference; ``commit`` names its head."""

    date: str
    commit: str
    counted_by: str
    machine: Facts
    workload: Facts
    measured: dict[str, Recorded]
    changes: list[str]
    shown_as: Speed | None = None


@dataclass(frozen=True)
class Part:
    """An object of a document, and where in it that stands."""

    fields: dict[str, object]
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Part:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")
        return cls(value, where)

    def get(self, name: str) -> object:
        if name not in self.fields:
            raise ValueError(f"{self.where} has no {name}")
        return self.fields[name]

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{name} of {self.where} is not a text")
        self._refuse_empty(name, value)
        return value

    def part(self, name: str, may_be_empty: bool = False) -> Part:
        value = self.get(name)
        if not isinstance(value, dict):
            raise ValueError(f"{name} of {self.where} is not an object")
        if not may_be_empty:
            self._refuse_empty(name, value)
        return Part(value, f"{name} of {self.where}")

    def items(self, name: str, may_be_empty: bool = False) -> list[object]:
        value = self.get(name)
        if not isinstance(value, list):
            raise ValueError(f"{name} of {self.where} is not a list")
        if not may_be_empty:
            self._refuse_empty(name, value)
        return value

    def texts(self, name: str) -> list[str]:
        return [str(value) for value in self.items(name, may_be_empty=True)]

    def numbers(self, name: str, length: int) -> list[float]:
        values = self.items(name, may_be_empty=True)
        if len(values) != length:
            raise ValueError(f"{name} of {self.where} should have {length} values, and has {len(values)}")
        return [_number(value, f"{name} of {self.where}", POSITIVE) for value in values]

    def numbers_by_name(self, least: float = 0.0) -> dict[str, float]:
        return {name: _number(value, self.where, least) for name, value in self.fields.items()}

    def _refuse_empty(self, name: str, value: Sized) -> None:
        if not value:
            raise ValueError(f"{name} of {self.where} is empty")


def read_reference(name: str, document: object) -> Reference:
    """The reference in a file's document."""
    file = Part.of(document, "the file")
    entries = file.items("history")
    history = [_entry(Part.of(entry, f"entry {number} of history")) for number, entry in enumerate(entries, 1)]
    found = Reference(
        name=name,
        created=file.text("created"),
        commit=file.text("commit"),
        counted_by=file.text("counted_by"),
        machine=_machine(file),
        workload=_workload(file),
        combinations=_combinations(file.part("combinations")),
        history=history,
        shown_as=_speed(file),
    )
    if history[-1].machine != found.machine:
        raise ValueError("the last entry of history is of another machine than the reference")
    return found


def read_check(document: object) -> StoredCheck:
    """The check in a file's document."""
    file = Part.of(document, "the file")
    return StoredCheck(
        date=file.text("date"),
        commit=file.part("head").text("name"),
        counted_by=file.text("counted_by"),
        machine=_machine(file),
        workload=_workload(file),
        measured=_combinations(file.part("measured")),
        changes=file.texts("changes"),
        shown_as=_speed(file),
    )


def _machine(file: Part) -> Facts:
    machine = file.part("machine")
    is_program = file.part("workload").fields.get("module") in PROGRAMS  # which brings its own torch, if any
    for shown in SHOWN_OF_MACHINE[: -1 if is_program else None]:
        machine.text(shown)
    return machine.fields


def _workload(file: Part) -> Facts:
    workload = file.part("workload").fields
    return {**workload, "module": present_module(str(workload["module"]))} if "module" in workload else workload


def _speed(file: Part) -> Speed | None:
    told = file.fields.get("shown_as")
    if told is None:
        return None
    found = read(Speed, told)
    _number(found.rate.factor, f"the rate of {file.where}", POSITIVE)
    return found


def _combinations(part: Part) -> dict[str, Recorded]:
    baseline = combination_name(BASELINE)
    return {
        name: _recorded(part.part(name), has_speedup=name != baseline and baseline in part.fields)
        for name in part.fields
    }


def _recorded(part: Part, has_speedup: bool) -> Recorded:
    unknown = set(part.fields) - {field.name for field in fields(Recorded)}
    if unknown:
        raise ValueError(f"{part.where} has the unknown field {min(unknown)}")
    blocks = len(part.items("episodes_per_min", may_be_empty=True))
    if blocks < LEAST_BLOCKS:
        raise ValueError(f"episodes_per_min of {part.where} needs {LEAST_BLOCKS} values or more, and has {blocks}")
    lines = part.part("lines", may_be_empty=True)
    return Recorded(
        episodes_per_min=part.numbers("episodes_per_min", blocks),
        speedup=part.numbers("speedup", blocks if has_speedup else 0),
        canary_s=part.numbers("canary_s", blocks),
        counts=part.part("counts", may_be_empty=True).numbers_by_name(),
        lines={name: lines.part(name, may_be_empty=True).numbers_by_name() for name in lines.fields},
        phase_ms=part.part("phase_ms", may_be_empty=True).numbers_by_name(),
        gates=part.texts("gates"),
    )


def _entry(part: Part) -> HistoryEntry:
    kind, reason, levels = part.text("kind"), part.get("reason"), part.part("levels")
    if kind not in LEVELS:
        raise ValueError(f"{part.where} is of the unknown kind {kind!r}")
    if not isinstance(reason, (str, type(None))):
        raise ValueError(f"reason of {part.where} is neither a text nor null")
    return HistoryEntry(
        date=part.text("date"),
        kind=kind,
        commit=part.text("commit"),
        reason=reason,
        machine=part.part("machine").fields,
        levels={name: _level(levels.part(name)) for name in levels.fields},
    )


def _level(part: Part) -> dict[str, float]:
    for needed in ("episodes_per_min", "canary_s"):
        part.get(needed)
    return part.numbers_by_name(POSITIVE)


def _number(value: object, where: str, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= sys.float_info.max:
        raise ValueError(f"{where} holds {value!r}, where only {'positive ' if least else ''}finite numbers may be")
    return value

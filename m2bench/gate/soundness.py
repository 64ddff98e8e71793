"""Whether a stored reference, or a check that becomes a level of one, holds all that is computed with later. Pure.

Everything raises ValueError for the first thing that is wrong, and says where it stands.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from m2bench.records.combinations import BASELINE, combination_name

LEVELS = ("saved", "promoted", "annotated")  # how a level of a reference came about
LEAST_BLOCKS = 2  # fewer have no spread
MACHINE: dict[str, type] = {"chip": str, "device": str, "torch": str}  # what is shown of a machine
RECORDED: dict[str, type] = {"episodes_per_min": list, "speedup": list, "canary_s": list, "counts": dict, "lines": dict,
                             "phase_ms": dict, "gates": list}  # fmt: skip
TYPES: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}

Document = dict[str, Any]


def refuse_unsound_reference(document: Document) -> None:
    """ValueError when a reference's file lacks something, or holds what cannot be."""
    _refuse_wrong_fields(
        document, {"created": str, "commit": str, "counted_by": str, "workload": dict, "history": list}, "the file"
    )
    _refuse_unsound_level(document, "combinations")
    for number, entry in enumerate(document["history"], start=1):
        _refuse_unsound_entry(entry, f"entry {number} of history")
    if document["history"][-1]["machine"] != document["machine"]:
        raise ValueError("the last entry of history is of another machine than the reference")


def refuse_unsound_check(document: Document) -> None:
    """The same for the document of a check whose figures are taken."""
    _refuse_wrong_fields(document, {"date": str, "counted_by": str, "workload": dict, "head": dict}, "the file")
    _refuse_wrong_fields(document["head"], {"name": str}, "head")
    _refuse_unsound_level(document, "measured")


def _refuse_unsound_level(document: Document, combinations: str) -> None:
    _refuse_wrong_fields(document, {"machine": dict, combinations: dict}, "the file")
    _refuse_wrong_fields(document["machine"], MACHINE, "machine")
    baseline = combination_name(BASELINE)
    for name, recorded in document[combinations].items():
        has_speedup = name != baseline and baseline in document[combinations]
        _refuse_unsound_figures(recorded, has_speedup, f"{combinations}.{name}")


def _refuse_unsound_figures(recorded: Any, has_speedup: bool, where: str) -> None:
    _refuse_wrong_fields(recorded, RECORDED, where, may_be_empty=True)
    unknown = set(recorded) - set(RECORDED)
    if unknown:
        raise ValueError(f"{where} has the unknown field {min(unknown)}")
    blocks = len(recorded["episodes_per_min"])
    if blocks < LEAST_BLOCKS:
        raise ValueError(f"{where}.episodes_per_min needs {LEAST_BLOCKS} values or more, and has {blocks}")
    for key, expected in {"episodes_per_min": blocks, "canary_s": blocks, "speedup": blocks * has_speedup}.items():
        if len(recorded[key]) != expected:
            raise ValueError(f"{where}.{key} should have {expected} values, and has {len(recorded[key])}")
        _refuse_wrong_numbers(recorded[key], f"{where}.{key}", least=sys.float_info.min)
    for key in ("counts", "phase_ms"):
        _refuse_wrong_numbers(recorded[key].values(), f"{where}.{key}")
    _refuse_wrong_fields(recorded["lines"], dict.fromkeys(recorded["lines"], dict), f"{where}.lines", may_be_empty=True)
    for lines in recorded["lines"].values():
        _refuse_wrong_numbers(lines.values(), f"{where}.lines")


def _refuse_unsound_entry(entry: Any, where: str) -> None:
    texts = {"date": str, "kind": str, "commit": str}
    _refuse_wrong_fields(entry, {**texts, "machine": dict, "levels": dict}, where)
    if entry["kind"] not in LEVELS:
        raise ValueError(f"{where} is of the unknown kind {entry['kind']!r}")
    if "reason" not in entry or not isinstance(entry["reason"], (str, type(None))):
        raise ValueError(f"{where} has no reason, neither a text nor null")
    _refuse_wrong_fields(entry["levels"], dict.fromkeys(entry["levels"], dict), f"levels of {where}")
    for name, levels in entry["levels"].items():
        for needed in ("episodes_per_min", "canary_s"):
            if needed not in levels:
                raise ValueError(f"levels.{name} of {where} has no {needed}")
        _refuse_wrong_numbers(levels.values(), f"levels of {where}", least=sys.float_info.min)


def _refuse_wrong_fields(value: Any, fields: Mapping[str, type], where: str, may_be_empty: bool = False) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    for name, kind in fields.items():
        if name not in value:
            raise ValueError(f"{where} has no {name}")
        if not isinstance(value[name], kind):
            raise ValueError(f"{name} of {where} is not {TYPES[kind]}")
        if not value[name] and not may_be_empty:
            raise ValueError(f"{name} of {where} is empty")


def _refuse_wrong_numbers(values: Iterable[Any], where: str, least: float = 0.0) -> None:
    for value in values:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not least <= value <= sys.float_info.max:
            raise ValueError(f"{where} holds {value!r}, and not only {'positive ' if least else ''}finite numbers")

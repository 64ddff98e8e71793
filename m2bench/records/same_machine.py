"""Which facts two machines must share for their episodes per minute to be comparable, and in which they differ."""

from __future__ import annotations

import re
from typing import Any

from .description import Description, Facts

IDENTITY = (
    "chip",
    "physical_cores",
    "logical_cores",
    "memory_mb",
    "device",
    "device_name",
    "torch",
    "torch_threads",
    "thread_waiting",
    "keeps_memory",
    "python",
)

KIND = ("chip", "physical_cores", "logical_cores", "device", "device_name", "torch", "thread_waiting", "keeps_memory",
        "python", "system", "macos", "environment")  # fmt: skip
"""The same of two machines of one kind, which share out a run's blocks. The number of threads is chosen for a kind."""


def kind_of(description: Description) -> Facts:
    """The facts of KIND, and the memory in GB: equal machines differ by some kB."""
    facts = description.facts
    return {**{key: facts.get(key) for key in KIND}, "memory_gb": round(description.machine.memory_mb / 1e3)}


def kind_name(kind: Facts) -> str:
    """A short name for a kind of machine, that can be that of a folder; others may have the same."""
    words = f"{kind['chip']} {kind['memory_gb']}GB {kind['device']}"
    return "-".join(re.findall(r"[a-z0-9.]+", re.sub(r"\((r|tm)\)|cpu|@.*?hz", "", words.lower())))


def identity(description: Description) -> Facts:
    """The facts of IDENTITY; None for one that is not known."""
    facts = description.facts
    return {key: facts.get(key) for key in IDENTITY}


def differing(a: Facts, b: Facts) -> list[str]:
    """What differs between two descriptions, as "key: one and other"; what only one tells differs as well."""
    return [f"{key}: {_told(a.get(key))} and {_told(b.get(key))}" for key in {**a, **b} if a.get(key) != b.get(key)]


def _told(fact: Any) -> Any:
    return "not told" if fact is None else fact

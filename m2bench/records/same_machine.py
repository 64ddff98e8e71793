"""Which facts two machines must share for their episodes per minute to be comparable, and in which they differ."""

from __future__ import annotations

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
    "python",
)


def identity(description: Description) -> Facts:
    """The facts of IDENTITY; None for one that is not known."""
    facts = {**description.machine.facts, **description.device.facts}
    return {key: facts.get(key) for key in IDENTITY}


def differing(a: Facts, b: Facts) -> list[str]:
    """What differs between two descriptions, as "key: one and other"; what only one tells differs as well."""
    return [f"{key}: {_told(a.get(key))} and {_told(b.get(key))}" for key in {**a, **b} if a.get(key) != b.get(key)]


def _told(fact: Any) -> Any:
    return "not told" if fact is None else fact

"""What updates told: their losses and returns, and how many units they processed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from m2bench.systems.interface import System, Told


def told_of(told: Told, measure: str, update: int) -> float | None:
    """What update number ``update`` told of ``loss`` or ``return``; None for nothing.

    Raises FloatingPointError for a loss that is no finite number.
    """
    found = told.loss if measure == "loss" else told.mean_return
    value = None if found is None else float(found)
    if measure == "loss" and value is not None and not math.isfinite(value):
        raise FloatingPointError(f"update {update}: the loss is not finite ({value})")
    return value


def told_of_all(told: Sequence[Told], measure: str) -> tuple[float | None, ...]:
    """The same of every update; empty where no update told anything."""
    values = tuple(told_of(each, measure, update) for update, each in enumerate(told, 1))
    return values if any(value is not None for value in values) else ()


def units_of(system: System, told: Sequence[Told]) -> float:
    """How many units these updates processed."""
    return sum(each.units or 0.0 for each in told) or len(told) * system.episodes_per_update

"""What a user's function yields after an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from m2bench.records.errors import TrainerError
from m2bench.systems.interface import Told

LOSS, RETURN = "loss", "return"


def read_yield(found: Any) -> tuple[str, Told]:
    """The unit that is counted, and what was told.

    ``None`` is one update; a number is so many samples; of a mapping, ``loss`` and ``return`` are what they say, and
    the other entry is the number of units of its name. Raises TrainerError for anything else.
    """
    if found is None:
        return "update", Told(units=1)
    if isinstance(found, Mapping):
        counted = {name: value for name, value in found.items() if name not in (LOSS, RETURN)}
        if len(counted) > 1:
            raise TrainerError(
                f"it yields several counts, {', '.join(map(repr, counted))}: yield one, beside 'loss' and 'return'"
            )
        unit, units = next(iter(counted.items()), ("updates", 1))
        return str(unit), Told(_count(units), found.get(LOSS), found.get(RETURN))
    return "samples", Told(units=_count(found))


def _count(value: Any) -> float:
    try:
        units = float(value)
    except (TypeError, ValueError):
        units = -1.0
    if not units > 0:
        raise TrainerError(
            f"it yields {value!r}, which is no number of samples: yield len(batch), or a dict as "
            "{'samples': 32, 'loss': loss}"
        )
    return units

"""What a user's function yields after an update."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from m2bench.systems.interface import Told

LOSS, RETURN = "loss", "return"
UPDATES, SAMPLES = "updates", "samples"


def read_yield(found: Any, unit: str = SAMPLES) -> tuple[str, Told]:
    """The unit that is counted, in the plural, and what was told.

    ``None`` is one update; a whole number is so many of ``unit``; of a mapping, ``loss`` and ``return`` are what they
    say, and the other entry is the number of units of its name. Raises ValueError for anything else.
    """
    if found is None:
        return UPDATES, Told(units=1)
    if not isinstance(found, Mapping):
        return unit, Told(units=_count(found))
    counts = {name: value for name, value in found.items() if name not in (LOSS, RETURN)}
    if len(counts) > 1 or not all(isinstance(name, str) for name in counts):
        raise ValueError(
            f"yields {', '.join(map(repr, counts))} beside {LOSS!r} and {RETURN!r}, and one count is read: yield the "
            "one to measure by"
        )
    counted, units = next(iter(counts.items()), (UPDATES, 1))
    return counted, Told(_count(units, counted), *(_figure(name, found.get(name)) for name in (LOSS, RETURN)))


def _count(value: Any, unit: str = SAMPLES) -> float:
    try:
        units = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:  # a loss, say
        units = 0
    if units <= 0:
        raise ValueError(
            f"yields {_short(value)}, which is not a number of {unit}: yield a whole number such as "
            f"len(batch), or a dict such as {{{unit!r}: len(batch), {LOSS!r}: loss}}"
        )
    return float(units)


def _figure(name: str, value: Any) -> float | None:
    """A loss or a return; from the device, where the next update may reuse its place."""
    if value is None:
        return None
    if not isinstance(value, torch.Tensor) or value.numel() == 1:
        with suppress(TypeError, ValueError):
            return float(value.item() if isinstance(value, torch.Tensor) else value)
    raise ValueError(f"yields {_short(value)} as {name!r}, which is not a number: yield one for the whole batch")


def _short(value: Any) -> str:
    is_array = isinstance(value, torch.Tensor) and value.ndim
    return f"a tensor of shape {tuple(value.shape)}" if is_array else f"{value!r:.60}"


def singular(units: str) -> str:
    """The word for one of these: sample of samples, batch of batches, entry of entries."""
    endings = {"ies": "y", "ches": "ch", "shes": "sh", "sses": "ss", "xes": "x", "s": ""}
    ending = next((ending for ending in endings if units.endswith(ending)), None)
    return units if ending is None else units.removesuffix(ending) + endings[ending]

"""What a user's function yields after an update."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch

from m2bench.systems.interface import Told

LOSS, RETURN = "loss", "return"
UPDATES, SAMPLES = "updates", "samples"


def read_yield(found: Any, unit: str = SAMPLES) -> tuple[str, Told]:
    """The unit that is counted, in the plural, and what was told.

    ``None`` is one update; a whole number is so many of ``unit``; of a mapping, ``loss`` and ``return`` are what they
    say, and the other entry is the number of units of its name. Raises ValueError for anything else.

    It is asked between any two updates, and what it takes up of the processor's caches slows down the next one. So it
    does as little as it can.
    """
    if found is None:
        return UPDATES, Told(units=1)
    if type(found) is not dict and not isinstance(found, Mapping):
        return unit, Told(units=_count(found))
    counted, units, loss, mean_return, counts = UPDATES, 1.0, None, None, 0
    for name, value in found.items():
        if name == LOSS:
            loss = _figure(LOSS, value)
        elif name == RETURN:
            mean_return = _figure(RETURN, value)
        else:
            counts += 1
            if counts > 1 or not isinstance(name, str):
                raise ValueError(_several(found))
            counted, units = name, _count(value, name)
    return counted, Told(units, loss, mean_return)


def _several(found: Mapping[Any, Any]) -> str:
    counts = [name for name in found if name not in (LOSS, RETURN)]
    return (
        f"yields {', '.join(map(repr, counts))} beside {LOSS!r} and {RETURN!r}, and one count is read: yield the one "
        "to measure by"
    )


def _count(value: Any, unit: str = SAMPLES) -> float:
    if type(value) is int and value > 0:
        return float(value)
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
    try:
        if not isinstance(value, torch.Tensor):
            return float(value)
        if value.numel() == 1:
            return float(value.item())
    except (TypeError, ValueError):
        pass
    raise ValueError(f"yields {_short(value)} as {name!r}, which is not a number: yield one for the whole batch")


def _short(value: Any) -> str:
    is_array = isinstance(value, torch.Tensor) and value.ndim
    return f"a tensor of shape {tuple(value.shape)}" if is_array else f"{value!r:.60}"


def singular(units: str) -> str:
    """The word for one of these: sample of samples, batch of batches, entry of entries."""
    endings = {"ies": "y", "ches": "ch", "shes": "sh", "sses": "ss", "xes": "x", "s": ""}
    ending = next((ending for ending in endings if units.endswith(ending)), None)
    return units if ending is None else units.removesuffix(ending) + endings[ending]

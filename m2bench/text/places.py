"""How a place where trials compute is spoken of."""

from __future__ import annotations

from m2bench.options.option import GPUS
from m2bench.records.scale_spec import Place


def place_in_words(place: Place) -> str:
    """``the CPU with 1 thread``, ``MPS``: of a GPU the threads are not varied, and so left out."""
    device = "" if place.device is None else place.device.upper()
    if place.device in GPUS:
        return device
    threads = "" if place.threads is None else f"{place.threads} thread{'' if place.threads == 1 else 's'}"
    return " with ".join(part for part in (device and f"the {device}", threads) if part)

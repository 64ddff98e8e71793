"""All combinations of some layers, gone through one by one."""

from __future__ import annotations

from itertools import chain, combinations

from m2bench.records.combinations import Layers


def every_combination(layers: Layers) -> list[Layers]:
    """All 2^k sets of the layers, smallest first."""
    sizes = range(len(layers) + 1)
    return list(chain.from_iterable(combinations(layers, size) for size in sizes))

"""Combinations of layers: their names, and all that there are."""

from __future__ import annotations

from itertools import chain, combinations

Layers = tuple[str, ...]

BASELINE: Layers = ()


def combination_name(layers: Layers) -> str:
    """``baseline``, or the layers joined by ``+``."""
    return "+".join(layers) or "baseline"


def layers_of(name: str) -> Layers:
    """The inverse of ``combination_name``."""
    return BASELINE if name == combination_name(BASELINE) else tuple(name.split("+"))


def every_combination(layers: Layers) -> list[Layers]:
    """All 2^k sets of the layers, smallest first."""
    sizes = range(len(layers) + 1)
    return list(chain.from_iterable(combinations(layers, size) for size in sizes))

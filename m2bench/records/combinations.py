"""Combinations of layers: their names, and their order."""

from __future__ import annotations

from collections.abc import Iterable

Layers = tuple[str, ...]

BASELINE: Layers = ()


def combination_name(layers: Layers) -> str:
    """``baseline``, or the layers joined by ``+``."""
    return "+".join(layers) or "baseline"


def layers_of(name: str) -> Layers:
    """The inverse of ``combination_name``."""
    return BASELINE if name == combination_name(BASELINE) else tuple(name.split("+"))


def smallest_first(chosen: Iterable[Layers], layers: Layers) -> list[Layers]:
    """These combinations of the layers by their sizes, those of one size in the order of the layers."""
    places = {layer: place for place, layer in enumerate(layers)}
    return sorted(chosen, key=lambda combination: (len(combination), [places[layer] for layer in combination]))

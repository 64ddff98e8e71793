"""Combinations of layers: their names, and all that there are."""

from __future__ import annotations

Layers = tuple[str, ...]


BASELINE: Layers = ()


def combination_name(layers: Layers) -> str:
    """``baseline``, or the layers joined by ``+``."""
    return "+".join(layers) or "baseline"


def layers_of(name: str) -> Layers:
    """The inverse of ``combination_name``."""
    return BASELINE if name == combination_name(BASELINE) else tuple(name.split("+"))

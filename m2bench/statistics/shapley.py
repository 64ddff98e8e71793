"""Shapley values as contrasts of cell means.

Shapley, "A value for n-person games", 1953; over the orders that are possible, Faigle & Kern, "The Shapley value for
cooperative games under precedence constraints", 1992.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.rules import NO_RULES, Rules


@lru_cache(maxsize=64)
def shapley_weights(layers: Layers, layer: str, rules: Rules = NO_RULES) -> Mapping[Layers, float]:
    """The layer's Shapley value as a contrast of cell means: its effect averaged over all orders of switching on.

    ``layers`` can all be on together; the orders are those in which each comes after what it needs.
    """
    before, after = _orders(layers, rules)
    orders = before[layers]
    weights: dict[Layers, float] = {}
    for combination, to_here in before.items():
        joined = tuple(x for x in layers if x in combination or x == layer)
        if layer not in combination and joined in before:
            weights[joined] = to_here * after[joined] / orders
            weights[combination] = -weights[joined]
    return weights


@lru_cache(maxsize=64)
def _orders(layers: Layers, rules: Rules) -> tuple[dict[Layers, int], dict[Layers, int]]:
    """The numbers of orders that lead from no layer to each allowed combination, and from there to all layers."""
    allowed = rules.allowed(layers)
    before, after = dict.fromkeys(allowed, 0), dict.fromkeys(allowed, 0)
    before[BASELINE] = after[layers] = 1
    steps = [
        (combination, joined)
        for combination in allowed
        for layer in layers
        if layer not in combination
        if (joined := tuple(x for x in layers if x in combination or x == layer)) in before
    ]
    for combination, joined in steps:
        before[joined] += before[combination]
    for combination, joined in reversed(steps):
        after[combination] += after[joined]
    return before, after

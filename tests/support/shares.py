"""The combinations of the six layers, shared out among the tests that go through them.

Each of four tests goes through every second combination without ``compile``, in which any four layers meet in all
sixteen ways. To compile takes longest: of those with ``compile`` each goes through a quarter. So every combination goes
through at least one test, and each of those without ``compile`` through two.

With the further layers there are too many: of them ``FURTHER_COMBINATIONS`` goes through every test.
"""

from __future__ import annotations

from itertools import combinations

import torch
from every import every_combination

from m2bench.devices.torch_device import why_no_replicas
from m2bench.optimizations import FURTHER, LAYERS, NOTE, RULES
from m2bench.records.combinations import Layers

CHECKS, WEIGHTS, GRADIENT, COUNTS = SHARES = range(4)
COMPILE = "compile"
OTHERS = [layer for layer in NOTE if layer != COMPILE]
ON_GPUS = tuple(layer for layer in LAYERS if layer not in ("cuda-graphs", "data-parallel"))
HERE = ON_GPUS if why_no_replicas(torch.device("cpu")) else (*ON_GPUS, "data-parallel")


def combinations_of(share: int) -> list[Layers]:
    """Half of those without ``compile``, and a quarter of those with it, in which any two others meet in all four ways.

    The half is that of an odd or an even number of layers (a fraction of resolution V). The quarter has its parities
    of two triples of layers that have one in common (resolution III).
    """
    return [layers for layers in every_combination(tuple(NOTE)) if share in _shares(layers)]


def _shares(layers: Layers) -> tuple[int, ...]:
    a, b, c, d, e = (layer in layers for layer in OTHERS)
    if COMPILE in layers:
        return (2 * (a ^ b ^ d) + (a ^ c ^ e),)
    return (CHECKS, COUNTS) if len(layers) % 2 == 0 else (WEIGHTS, GRADIENT)


def _further(here: Layers) -> list[Layers]:
    """Combinations with further layers, in which any two layers meet in all ways that the rules leave.

    One after the other, each that shows most meetings which those before have not; of equals the smallest. Then all.
    """
    allowed = [layers for layers in RULES.allowed(here) if not {*FURTHER}.isdisjoint(layers)]
    meetings = {layers: _meetings(layers, here) for layers in allowed}
    missing = set().union(*meetings.values())
    chosen: list[Layers] = []
    while missing:
        chosen.append(max(allowed, key=lambda layers: len(meetings[layers] & missing)))
        missing -= meetings[chosen[-1]]
    return [*chosen, RULES.fullest(here)]


def _meetings(layers: Layers, here: Layers) -> set[tuple[str, bool, str, bool]]:
    return {(one, one in layers, other, other in layers) for one, other in combinations(here, 2)}


FURTHER_COMBINATIONS, FURTHER_ON_GPUS = _further(HERE), _further(ON_GPUS)
ON_CUDA = [("batching", "cuda-graphs"), RULES.fullest((*ON_GPUS, "cuda-graphs"), ("cuda-graphs",))]

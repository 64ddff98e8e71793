"""All combinations of the six layers, for tests that go through them, but for most of those that compile.

To compile is most of the time of such a test. So four of them share out the combinations with ``compile``: each
combination goes through one of the four, and all others go through every one.

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
    """Those without ``compile``, and a quarter of those with it, in which any two other layers meet in all four ways.

    By the parities of two triples of layers that have one in common: a fraction of resolution III.
    """
    return [layers for layers in every_combination(tuple(NOTE)) if COMPILE not in layers or _share(layers) == share]


def _share(layers: Layers) -> int:
    a, b, c, d, e = (layer in layers for layer in OTHERS)
    return 2 * (a ^ b ^ d) + (a ^ c ^ e)


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

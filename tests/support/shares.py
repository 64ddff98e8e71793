"""All combinations of the layers, for tests that go through them, but for most of those that compile.

To compile is most of the time of such a test. So four of them share out the combinations with ``compile``: each
combination goes through one of the four, and all others go through every one.
"""

from __future__ import annotations

from m2bench.optimizations import COMPILING, LAYERS
from m2bench.records.combinations import Layers, every_combination

CHECKS, WEIGHTS, GRADIENT, COUNTS = SHARES = range(4)
(COMPILE,) = COMPILING
OTHERS = [layer for layer in LAYERS if layer != COMPILE]


def combinations_of(share: int) -> list[Layers]:
    """Those without ``compile``, and a quarter of those with it, in which any two other layers meet in all four ways.

    By the parities of two triples of layers that have one in common: a fraction of resolution III.
    """
    return [layers for layers in every_combination(tuple(LAYERS)) if COMPILE not in layers or _share(layers) == share]


def _share(layers: Layers) -> int:
    a, b, c, d, e = (layer in layers for layer in OTHERS)
    return 2 * (a ^ b ^ d) + (a ^ c ^ e)

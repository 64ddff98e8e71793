"""The optional layers of the trainer. Installed as ``m2bench.optimizations``.

Importing this package loads no layer and no torch, so that the names are at hand everywhere.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layer import Layer

# Name of the layer -> module of its file. The order is the order of reports and of composition.
LAYERS = {
    "batching": "batching",
    "amp": "amp",
    "compile": "compile",
    "vectorized-loss": "vectorized_loss",
    "dataloader": "dataloader",
    "grad-accumulation": "grad_accumulation",
}


def load_layer(name: str) -> Layer:
    """The layer called ``name``; KeyError when there is none."""
    layer: Layer = importlib.import_module(f"{__name__}.{LAYERS[name]}").LAYER
    return layer

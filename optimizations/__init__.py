"""The optional layers of the trainer. Installed as ``m2bench.optimizations``.

Importing this package loads no layer and no torch, so that the names are at hand everywhere.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from m2bench.records.rules import Rules

if TYPE_CHECKING:
    from .layer import Layer

# Name of the layer -> module of its file. The order is the order of reports and of composition. NOTE: those of the
# design note, which take part where none are named.
NOTE = {
    "batching": "batching",
    "amp": "amp",
    "compile": "compile",
    "vectorized-loss": "vectorized_loss",
    "dataloader": "dataloader",
    "grad-accumulation": "grad_accumulation",
}
FURTHER = {
    "encode-once": "encode_once",
    "compiled-loop": "compiled_loop",
    "cuda-graphs": "cuda_graphs",
    "frozen-macro": "frozen_macro",
    "matmul-sums": "matmul_sums",
    "native-features": "native_features",
    "data-parallel": "data_parallel",
}
LAYERS = NOTE | FURTHER

# What the command line must know of them before a system describes itself.
RULES = Rules(
    needs=(
        ("compiled-loop", "batching"),
        ("compiled-loop", "encode-once"),
        ("cuda-graphs", "batching"),
        ("native-features", "batching"),
        ("data-parallel", "batching"),
    ),
    excludes=(("compiled-loop", "cuda-graphs"),),
)
COMPILING = ("compile", "compiled-loop")

# What the sample run in reports/sample recommends.
RECOMMENDED = ("batching", "vectorized-loss")

# Claimed for all layers together, before and after, by the source that the layers' own claims name.
CLAIMED_TOGETHER = {
    "ms_per_episode": ("500", "25"),
    "episodes_per_min": ("120", "2,400"),
    "utilization": ("15-25 %", "80-95 %"),
    "peak_memory_mb": ("800", "2,500"),
}


def load_layer(name: str) -> Layer:
    """The layer called ``name``; KeyError when there is none."""
    layer: Layer = importlib.import_module(f"{__name__}.{LAYERS[name]}").LAYER
    return layer

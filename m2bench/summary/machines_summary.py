"""Runs on several machines side by side: what each layer is worth on each."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.records.figure import Figure


@dataclass(frozen=True)
class LayerAcross:
    """One effect of a layer in every run, None where the run does not tell.

    ``layer``: None for all layers together. ``p_holm``: of the test that it is the same in all of them, adjusted for
    the number of tests, this row's among them; None where too little is known.
    """

    layer: str | None
    effect: str
    figures: tuple[Figure | None, ...]
    p_holm: float | None


@dataclass(frozen=True)
class SideBySide:
    """Several runs, by their names. ``machines``: what each was measured on, in words."""

    runs: tuple[str, ...]
    machines: tuple[str, ...]
    layers: tuple[LayerAcross, ...]

"""What checks of the gate measure, made up so that their figures are known."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from m2bench.gate.measure import Block
from m2bench.gate.references import record
from m2bench.records.combinations import BASELINE, Layers

FAST: Layers = ("batching", "vectorized-loss")
COMBINATIONS = (BASELINE, FAST)
SPEEDS = {BASELINE: 600.0, FAST: 18000.0}
MACHINE = {"chip": "one", "device": "cpu", "torch": "2"}
PHASES = {"forward": 30.0, "environment": 1.0}
LINES = {"syncs": {"a/b.py:7 x.item()": 2.0}}
COUNTS = {"per_episode": {"dispatches": 100.0, "syncs": 2.0}, "lines": LINES}
GOOD_GATE = {"gradient": {"same": True, "evidence": {}, "reason": None}}


def result(speed: float, canary_s: float = 0.01, **changes: Any) -> dict[str, Any]:
    """What a trial measures at this many episodes per minute."""
    return {
        "update_s": [60 / speed] * 4,
        "episodes_per_update": 1,
        "canary_s": [canary_s],
        "counts": COUNTS,
        "gates": GOOD_GATE,
        "proofs": {},
        "training_return": [0.5, 0.7, 0.1, 0.9, 1.1, 1.2, 1.3, 1.4],
        "phase_ms_per_episode": PHASES,
        **changes,
    }  # fmt: skip


def blocks_of(
    number: int, ratio: float = 1.0, noise: float = 0.005, machine: float = 1.0, seed: int = 0, **changes: Any
) -> list[Block]:
    """Blocks whose heads make ``ratio`` times the base's episodes/min, on a machine ``machine`` times as fast."""
    rng = np.random.default_rng(seed)
    found: list[Block] = []
    for _ in range(number):
        block: Block = {}
        for combination, speed in SPEEDS.items():
            for side, factor in (("base", 1.0), ("head", ratio)):
                changed = changes if side == "head" else {}
                value = speed * factor * machine * math.exp(rng.normal(0, noise))
                block[side, combination] = result(value, 0.01 / machine, **changed)
        found.append(block)
    return found


def document_of(blocks: list[Block], date: str = "2026-02-01T00:00:00+00:00", commit: str = "def") -> dict[str, Any]:
    return {
        "format": "m2bench check", "schema": 2, "date": date, "head": {"name": commit},
        "machine": MACHINE, "counted_by": "m2bench 0.1, counting 3",
        "workload": {"data": "m"}, "changes": [],
        "measured": {name: asdict(recorded) for name, recorded in record(blocks, COMBINATIONS).items()},
    }  # fmt: skip


def full_document(**changes: Any) -> dict[str, Any]:
    metric = {"name": "episodes/min", "combination": "baseline", "against": "base", "state": "passed", "value": 1.0,
              "bounds": [0.98, 1.02], "sd": 0.01, "text": "baseline: episodes/min 1.000x"}  # fmt: skip
    return document_of(blocks_of(6)) | {
        "verdict": "pass", "exit_code": 0, "sentence": "Passed.", "reproduce": "m2bench check --base abc",
        "seconds": 9.0, "metrics": [metric], "counts": [], "not_comparable": [], "notes": [], "base": {"name": "abc"},
        "reference": None, "blocks": 6, "unchecked": [],
        **changes,
    }  # fmt: skip

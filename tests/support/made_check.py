"""Checks of the gate whose measurements are made up, so that their figures are known."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from m2bench.gate.decide import decide
from m2bench.gate.outcome import CheckOutcome
from m2bench.gate.pairs import Block
from m2bench.gate.question import Question
from m2bench.gate.references.reference import Reference, record, with_level
from m2bench.gate.sides import Code
from m2bench.gate.verdict import Verdict
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.description import Unit
from m2bench.records.documents import read
from m2bench.records.results import TrialResult
from m2bench.statistics.sequential import MetricState

FAST: Layers = ("batching", "vectorized-loss")
COMBINATIONS = (BASELINE, FAST)
SPEEDS = {BASELINE: 600.0, FAST: 18000.0}
BASED = Question(COMBINATIONS, delta=0.05, alpha=0.01, max_blocks=14, unit=Unit("episode", "episodes"), base="abc")
MACHINE = {"chip": "one", "device": "cpu", "torch": "2"}
PHASES = {"forward": 30.0, "environment": 1.0}
LINES = {"syncs": {"a/b.py:7 x.item()": 2.0}}
COUNTS = {"per_episode": {"dispatches": 100.0, "syncs": 2.0}, "lines": LINES}
GOOD_GATE = {"gradient": {"same": True, "evidence": {}, "reason": None}}
# What a trial tells besides, and no gate asks for.
OTHERWISE: dict[str, Any] = dict.fromkeys(("window_error", "energy_j_per_episode", "compile_s")) | {
    "setup_s": 0.0, "warmup_update_s": [], "episodes_per_min": 0.0, "timer_share": 0.0, "env_steps_per_s": 0.0,
    "peak_memory_mb": {"device": None, "host": 1.0}, "gates_s": 0.0, "eval_return": 0.0,
}  # fmt: skip


def result(speed: float, canary_s: float = 0.01, **changes: Any) -> dict[str, Any]:
    """What a worker tells of a trial at this many episodes per minute."""
    return {
        "update_s": [60 / speed] * 4,
        "episodes_per_update": 1,
        "canary_s": [canary_s],
        "counts": COUNTS,
        "gates": GOOD_GATE,
        "proofs": {},
        "training_return": [0.5, 0.7, 0.1, 0.9, 1.1, 1.2, 1.3, 1.4],
        "phase_ms_per_episode": PHASES,
        **OTHERWISE,
        **changes,
    }  # fmt: skip


def measured(speed: float, canary_s: float = 0.01, **changes: Any) -> TrialResult:
    return read(TrialResult, result(speed, canary_s, **changes))


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
                block[side, combination] = measured(value, 0.01 / machine, **changed)
        found.append(block)
    return found


def reference_of(blocks: list[Block], name: str = "release") -> Reference:
    found = Reference(
        name, "2026-01-01T00:00:00+00:00", "abc", "0.1", MACHINE, {"data": "m"}, record(blocks, COMBINATIONS)
    )
    return with_level(None, found, "saved")


def against(reference: Reference, **changes: Any) -> Question:
    return replace(BASED, base=None, reference=reference, **{"delta": 0.1, **changes})


def document_of(blocks: list[Block], date: str = "2026-02-01T00:00:00+00:00", commit: str = "def") -> dict[str, Any]:
    return {
        "format": "m2bench check", "schema": 2, "date": date, "head": {"name": commit},
        "machine": MACHINE, "counted_by": "m2bench 0.1, counting 3",
        "workload": {"data": "m"}, "changes": [],
        "measured": {name: asdict(recorded) for name, recorded in record(blocks, COMBINATIONS).items()},
    }  # fmt: skip


def outcome_of(verdict: Verdict | None = None, **changes: Any) -> CheckOutcome:
    """What a check tells whose verdict is this one: without one, that equal code passed against a base."""
    verdict = verdict or decide(BASED, blocks_of(6), final=False)
    code = Code("head", "0" * 40, dirty=False, path=None)
    return CheckOutcome(
        verdict=replace(verdict, **changes), command=("m2bench", "check"), date="2026-02-01T00:00:00+00:00",
        seconds=9.0, head=code, base=replace(code, side="base") if verdict.question.base else None,
        reference=None, counted_by="m2bench 0.1, counting 3", machine=MACHINE, workload={"data": "m"},
        measured=record(blocks_of(6), COMBINATIONS),
    )  # fmt: skip


def with_state(state: MetricState) -> CheckOutcome:
    """Equal code, but that the speed of the baseline came out like this."""
    verdict = decide(BASED, blocks_of(6), final=False)
    return outcome_of(verdict, judged=[replace(verdict.judged[0], state=state)])

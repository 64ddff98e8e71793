"""Runs whose every trial is made up, so that the figures of a report on them are known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice, takewhile
from math import prod
from pathlib import Path
from typing import Any

from m2bench.findings.usage import COUNTS
from m2bench.optimizations import NOTE
from m2bench.options.run_spec import RunSpec
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import Layers
from m2bench.records.description import Description, Prepared
from m2bench.records.documents import read
from m2bench.records.results import Counts, CurvePoint, LearningResult, NumericsCheck, PeakMemory, TrialResult
from m2bench.records.spec import TrialSpec
from m2bench.statistics.learning_curve import arrival, evaluation_episodes
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import RunRecord, StoredTrial

STARTED = "2026-01-01T00:00:00+00:00"
GOOD_RETURN = 5.0
TARGET_RETURN = 3.0
TARGET = {
    "measure": "greedy", "good_policy": "the known good policy", "good_return": GOOD_RETURN, "ignorant_return": 0.0,
    "share": 0.6, "return": TARGET_RETURN,
}  # fmt: skip
MARKUP = "[red]a|b<script>_x_[/red]"
SPEC = RunSpec(("amp", MARKUP), ("full",), 1, seed=0, learning="off")
FULL = RunSpec(tuple(NOTE), ("full",), 3, seed=0)

# What each layer does to the speed, and to the episodes of an update.
FACTORS = {"batching": 16.0, "amp": 4.0, "compile": 1.0, "vectorized-loss": 1.25, "dataloader": 0.8}
EPISODES = {"batching": 32, "grad-accumulation": 4}
BASELINE_SPEED = 100.0  # episodes/min
LEARNING_TRIAL_S = 2.9  # so that four rounds fit beside the 216 speed trials of a second each
HALF_LIFE = 25.0  # updates until half of what there is to learn is learned

SYSTEM = {"unit": {"one": "episode", "many": "episodes"}, "facts": {"market": MARKUP}, "no_target_because": None}

Fault = tuple[str, str]


def description_document(layers: Layers) -> dict[str, Any]:
    claim = {"low": 1.5, "high": 2, "text": "1.5-2x", "difficulty": "low", "priority": "low", "source": "test",
             "phase": None}  # fmt: skip
    return {
        "device": {"device": "cpu", "torch": "2.0", "torch_threads": 2, "device_name": "fake"},
        "prepare_s": 2.0,
        "device_faults": [],
        "peak_flops": 1e6,
        "peaks": [
            {"precision": "float32", "cores": 2, "flops": 1e6}, {"precision": "bfloat16", "cores": 2, "flops": 4e6}
        ],
        "bytes_per_s": 5e5,
        "machine": {
            "chip": "a chip", "physical_cores": 2, "logical_cores": 2, "memory_mb": 8000.0, "system": "Linux 6",
            "power": None, "python": "3.11", "environment": {"OMP_NUM_THREADS": "2"},
        },
        "system": SYSTEM,
        "workload": {
            "market": {"name": MARKUP, "candles": 5000},
            "options": {"num_envs": 32},
            "hyperparameters": {"episode_length": 128, "policy_size": "default"},
            "good_return": GOOD_RETURN,
            "target": TARGET,
        },
        "layers": [
            {"name": name, "part": name, "claim": claim, "compiles": False, "unsupported": None, "exact": True,
             "works_ahead": False}
            for name in layers
        ],
    }  # fmt: skip


def make_record(spec: RunSpec, document: dict[str, Any] | None = None) -> RunRecord:
    """The record of a run that found what the document says; without one, what ``description_document`` does."""
    found = document or description_document(spec.layers)
    return RunRecord(spec, STARTED, read(Description, found), read(Prepared, found))


def result(speed: float, episodes_per_update: int = 1, **changes: Any) -> TrialResult:
    """What a timed trial measures at this many episodes per minute, but for the ``changes``."""
    made = TrialResult(
        episodes_per_update=episodes_per_update, update_s=(60 * episodes_per_update / speed,), turn_updates=(1,),
        episodes_per_min=speed, env_steps_per_s=speed, setup_s=0.1, canary_s=(0.01,),
        warmup_update_s=(0.1, 0.2), window_error=0.01, timer_share=1e-4, energy_j_per_episode=None,
        compile_s=None, peak_memory_mb=PeakMemory(None, 5.0), proofs={}, eval_return=1.0,
        numerics={"gradient": NumericsCheck(same=True, evidence={})}, numerics_s=0.1,
        phase_ms_per_episode={"forward": 36_000 / speed, "loss": 24_000 / speed},
        counts=Counts({**dict.fromkeys(COUNTS, 600.0), "half_flops": 0.0}, {}),
    )  # fmt: skip
    return replace(made, **changes)


def make_run(
    folder: Path, spec: RunSpec = SPEC, trials: int | None = None, faults: Mapping[Layers, Fault] | None = None
) -> Store:
    """A run in ``folder`` that was stopped after so many trials, or went on to its end.

    ``faults``: a status and why, of the speed trials of a combination. With more than one block trials scatter by 1 %.
    """
    record = make_record(spec)
    store = Store.create(folder, record)
    scatter = random.Random(spec.seed)
    stored: list[StoredTrial] = []
    for trial in islice(remaining_trials(spec, record.description, lambda: stored), trials):
        if trial.kind == "learning":
            stored.append(run_learner(trial))
        else:
            fault = (faults or {}).get(trial.layers, ("ok", None))
            stored.append(run_timed(trial, scatter.gauss(1, 0.01) if spec.blocks > 1 else 1.0, *fault))
        store.add(stored[-1])
    return store


def run_timed(trial: TrialSpec, scatter: float, status: str, reason: str | None) -> StoredTrial:
    """A speed trial, at the speed of its layers."""
    speed = scatter * BASELINE_SPEED * prod(FACTORS.get(layer, 1.0) for layer in trial.layers)
    found = result(speed, episodes_of(trial.layers)) if status in ("ok", "not-engaged") else None
    return StoredTrial(trial, STARTED, 1.0, status, reason, None, found)


def episodes_of(layers: Layers) -> int:
    return prod(EPISODES.get(layer, 1) for layer in layers)


def run_learner(trial: TrialSpec) -> StoredTrial:
    """A learning trial: what is learned depends on the updates alone, and some seeds need more of them than others."""
    half_life = HALF_LIFE * episodes_of(trial.layers) * (1 + 0.1 * trial.block)  # episodes
    curve = [
        CurvePoint(
            after, episodes=after, train_s=0.1 * after, mean_return=GOOD_RETURN * (1 - 2 ** (-after / half_life))
        )
        for after in takewhile(lambda after: after < 20_000, evaluation_episodes())
    ]
    arrived = arrival(curve, TARGET_RETURN)
    assert arrived is not None
    found = LearningResult(
        curve=tuple(point for point in curve if point.after <= arrived),
        episodes_per_update=episodes_of(trial.layers),
        episodes_to_target=arrived,
        proofs={},
    )
    return StoredTrial(trial, STARTED, LEARNING_TRIAL_S, "ok", None, None, found)

"""Runs whose every trial is made up, so that the figures of a report on them are known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import takewhile
from math import prod
from pathlib import Path
from typing import Any

from m2bench.learning_curve import arrival, evaluation_episodes
from m2bench.optimizations import LAYERS
from m2bench.plan import make_trials
from m2bench.spec import BASELINE, Layers, RunSpec, TrialSpec
from m2bench.store import RunRecord, Store, StoredTrial
from m2bench.sweep import sweep_trials
from m2bench.usage import COUNTS

STARTED = "2026-01-01T00:00:00+00:00"
GOOD_RETURN = 5.0
TARGET = {
    "measure": "greedy", "good_policy": "the known good policy", "good_return": GOOD_RETURN, "ignorant_return": 0.0,
    "share": 0.6, "return": 3.0,
}  # fmt: skip
MARKUP = "[red]a|b<script>_x_[/red]"
SPEC = RunSpec(("amp", MARKUP), ("full",), 1, seed=0)
FULL = RunSpec(tuple(LAYERS), ("full",), 3, seed=0)

# What each layer does to the speed, and to the episodes of an update.
FACTORS = {"batching": 16.0, "amp": 4.0, "compile": 1.0, "vectorized-loss": 1.25, "dataloader": 0.8}
EPISODES = {"batching": 32, "grad-accumulation": 4}
BASELINE_SPEED = 100.0  # episodes/min
LEARNING_ROUNDS = 4
HALF_LIFE = 25.0  # updates until half of what there is to learn is learned

DRIFT = {1: 1.0, 2: 0.8, 3: 1.3}  # of the machine, from block to block of a sweep
GROWTH = 0.5  # in a sweep speedup grows with this power of the number of environments

Fault = tuple[str, str]


def description(layers: Layers) -> dict[str, Any]:
    claim = {"low": 1.5, "high": 2, "text": "1.5-2x", "difficulty": "low", "priority": "low", "source": "test",
             "phase": None}  # fmt: skip
    return {
        "device": {"device": "cpu", "torch": "2.0", "torch_threads": 2, "device_name": "fake"},
        "prepare_s": 2.0,
        "peak_flops": 1e6,
        "machine": {
            "chip": "a chip", "physical_cores": 2, "logical_cores": 2, "memory_mb": 8000.0, "system": "Linux 6",
            "power": None, "python": "3.11", "environment": {"OMP_NUM_THREADS": "2"},
        },
        "workload": {
            "market": {"name": MARKUP, "candles": 5000},
            "options": {"num_envs": 32},
            "hyperparameters": {"episode_length": 128, "policy_size": "default"},
            "good_return": GOOD_RETURN,
            "target": TARGET,
        },
        "layers": [
            {"name": name, "part": name, "claim": claim, "compiles": False, "unsupported": None, "exact": True}
            for name in layers
        ],
    }  # fmt: skip


def result(speed: float, episodes_per_update: int = 1) -> dict[str, Any]:
    return {
        "episodes_per_update": episodes_per_update, "update_s": [60 * episodes_per_update / speed],
        "episodes_per_min": speed, "env_steps_per_s": speed, "setup_s": 0.1,
        "warmup_update_s": [0.1, 0.2], "window_error": 0.01, "timer_share": 1e-4, "energy_j_per_episode": None,
        "compile_s": None, "peak_memory_mb": {"device": None, "host": 5.0}, "proofs": {}, "eval_return": 1.0,
        "gates_s": 0.1,
        "gates": {"gradient": {"same": True, "evidence": {}, "reason": None}},
        "phase_ms_per_episode": {"forward": 36_000 / speed, "loss": 24_000 / speed},
        "counts": {"per_episode": dict.fromkeys(COUNTS, 600.0), "lines": {}},
    }  # fmt: skip


def make_run(
    folder: Path, spec: RunSpec = SPEC, trials: int | None = None, faults: Mapping[Layers, Fault] | None = None
) -> Store:
    """A run in ``folder`` of which only so many speed trials are done; ``faults``: a status and why, by combination.

    With more than one block, trials scatter by 1 %, and learning is measured too.
    """
    store = Store.create(folder, RunRecord(spec, STARTED, description(spec.layers)))
    scatter = random.Random(spec.seed)
    for trial in make_trials(spec)[:trials]:
        speed = BASELINE_SPEED * prod(FACTORS.get(layer, 1.0) for layer in trial.layers)
        speed *= scatter.gauss(1, 0.01) if spec.blocks > 1 else 1.0
        status, reason = (faults or {}).get(trial.layers, ("ok", None))
        found = result(speed, episodes_of(trial.layers)) if status in ("ok", "not-engaged") else {}
        store.add(StoredTrial(trial, STARTED, 1.0, status, reason, None, found))
    if spec.blocks > 1 and trials is None:
        for learned in _learning_trials(spec):
            store.add(learned)
    for swept in sweep_trials(spec, store.trials()):
        store.add(run_swept(swept))
    return store


def run_swept(trial: TrialSpec, scatter: float = 0.0) -> StoredTrial:
    """A trial of a sweep on a machine that is another in every block."""
    speed = BASELINE_SPEED * DRIFT[trial.block]
    if trial.num_envs is not None:
        speed *= trial.num_envs**GROWTH * (1 + scatter)
    return StoredTrial(trial, STARTED, 1.0, "ok", None, None, result(speed))


def episodes_of(layers: Layers) -> int:
    return prod(EPISODES.get(layer, 1) for layer in layers)


def _learning_trials(spec: RunSpec) -> list[StoredTrial]:
    """Of one combination per number of episodes per update: what is learned depends on the updates alone."""
    groups: list[Layers] = [BASELINE, ("grad-accumulation",), ("batching",), ("batching", "grad-accumulation")]
    trials = []
    for number in range(1, LEARNING_ROUNDS + 1):
        for layers in groups:
            updates_of = episodes_of(layers) * (1 + 0.1 * number)  # episodes: some seeds need more than others
            curve = [
                {"after": after, "episodes": after, "train_s": 0.1 * after,
                 "return": GOOD_RETURN * (1 - 2 ** (-after / updates_of / HALF_LIFE))}
                for after in takewhile(lambda after: after < 20_000, evaluation_episodes())
            ]  # fmt: skip
            arrived = arrival(curve, TARGET["return"])  # type: ignore[arg-type]
            assert arrived is not None
            curve = [point for point in curve if point["after"] <= arrived]
            found = {"curve": curve, "episodes_per_update": episodes_of(layers), "episodes_to_target": arrived,
                     "proofs": {}}  # fmt: skip
            key = f"learn{number}.{episodes_of(layers)}"
            learner = TrialSpec(key, layers, number, number, "learning", 60.0)
            trials.append(StoredTrial(learner, STARTED, 1.0, "ok", None, None, found))
    return trials

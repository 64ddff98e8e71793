"""One learning trial: train one combination until it has learned enough, and keep its learning curve."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from m2bench.records.spec import TrialSpec, WorkloadSpec
from m2bench.statistics.learning_curve import arrival, evaluation_episodes
from m2bench.systems.interface import System, Workload

from .trial import timed_updates


def run_learning_trial(
    workload: Workload, workload_spec: WorkloadSpec, work: Path, spec: TrialSpec, target_return: float
) -> dict[str, Any]:
    """Train until the mean of the last evaluations reaches ``target_return``, or ``spec.limit_s`` seconds are over.

    Returns a JSON document: the learning curve (see learning_curve.py), whose points have the seconds of training
    without the evaluations as well; ``episodes_to_target``, None when the target was not reached; and the layers'
    evidence.

    Raises RuntimeError when training does not stay finite or consumed other episodes than it should have.
    """
    assert spec.limit_s is not None
    begin = time.perf_counter()
    system = workload.build(workload_spec, work, spec.layers, spec.seed)
    try:
        curve: list[dict[str, Any]] = []
        point = {"after": 0, "episodes": 0, "train_s": 0.0, "return": system.learned_return()}
        for after in evaluation_episodes():
            point = _train_until(system, after, point)
            curve.append(point)
            if arrival(curve, target_return) is not None or time.perf_counter() - begin > spec.limit_s:
                break
        for check in system.check_stream().values():
            if not check["same"]:
                raise RuntimeError(f"it has not consumed what it should have: {check['reason']}")
        return {
            "curve": curve,
            "episodes_per_update": system.episodes_per_update,
            "episodes_to_target": arrival(curve, target_return),
            "proofs": system.proofs(),
        }
    finally:
        system.close()


def _train_until(system: System, after: int, last: dict[str, Any]) -> dict[str, Any]:
    """The next point of the curve: as many whole updates as these episodes allow, and an evaluation after any."""
    updates = (after - last["episodes"]) // system.episodes_per_update
    if not updates:
        return {**last, "after": after}
    times, _ = timed_updates(system, updates)
    return {
        "after": after,
        "episodes": last["episodes"] + updates * system.episodes_per_update,
        "train_s": last["train_s"] + sum(times),
        "return": system.learned_return(),
    }

"""One learning trial: train one combination until it has learned enough, and keep its learning curve."""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import mean
from typing import Any

from .learning_curve import evaluation_episodes, has_reached
from .spec import TrialSpec, WorkloadSpec
from .trial import System, Workload, timed_updates


def run_learning_trial(
    workload: Workload, workload_spec: WorkloadSpec, work: Path, spec: TrialSpec, target_return: float
) -> dict[str, Any]:
    """Train until the mean of the last evaluations reaches ``target_return``, or ``spec.limit_s`` seconds are over.

    Returns a JSON document: the learning curve, whose points have the episodes so far, the seconds of training
    without the evaluations, the mean training return since the last point and the evaluation;
    ``episodes_to_target``, None when the target was not reached; and the layers' evidence.

    Raises RuntimeError when training does not stay finite or consumed other episodes than it should have.
    """
    assert spec.limit_s is not None
    begin = time.perf_counter()
    system = workload.build(workload_spec, work, spec.layers, spec.seed)
    try:
        curve = [_point(0, 0.0, None, system.learned_return())]
        for goal in evaluation_episodes():
            if goal > curve[-1]["episodes"]:
                curve.append(_train_until(system, goal, curve[-1]))
            if has_reached(curve, target_return) or time.perf_counter() - begin > spec.limit_s:
                break
        stream = system.check_stream()["stream"]
        if not stream["same"]:
            raise RuntimeError(f"the episodes are not the right ones: {stream['reason']}")
        return {
            "curve": curve,
            "episodes_per_update": system.episodes_per_update,
            "episodes_to_target": curve[-1]["episodes"] if has_reached(curve, target_return) else None,
            "proofs": system.proofs(),
        }
    finally:
        system.close()


def _train_until(system: System, episodes: int, last: dict[str, Any]) -> dict[str, Any]:
    updates = math.ceil((episodes - last["episodes"]) / system.episodes_per_update)
    times, returns = timed_updates(system, 0.0, updates)
    done = last["episodes"] + updates * system.episodes_per_update
    return _point(done, last["train_s"] + sum(times), mean(returns), system.learned_return())


def _point(episodes: int, train_s: float, training_return: float | None, learned_return: float) -> dict[str, Any]:
    return {"episodes": episodes, "train_s": train_s, "training_return": training_return, "return": learned_return}

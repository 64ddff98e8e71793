"""Training one combination to a checkpoint, with its learning curve."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading.system import build

EVALUATIONS = 20  # points of the learning curve


def train(
    spec: WorkloadSpec,
    work: Path,
    layers: Layers,
    episodes: int,
    seed: int,
    checkpoint: Path,
    on_progress: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train until at least ``episodes`` episodes were learned from, and save the policy to ``checkpoint``.

    Returns the learning curve: per point the episodes so far, seconds of training without the
    evaluations, the mean training return since the last point, and the evaluation.
    """
    system = build(spec, work, layers, seed)
    try:
        curve = [_point(system.trainer.episodes, 0.0, None, system.evaluate())]
        on_progress(curve[0])
        trained_s = 0.0
        while system.trainer.episodes < episodes:
            goal = min(episodes, episodes * len(curve) / EVALUATIONS)
            start = time.perf_counter()
            returns: list[Tensor] = []
            while system.trainer.episodes < goal or not returns:
                returns.append(system.update())
                system.check_finite()
            mean_return = float(torch.stack(returns).mean())
            trained_s += time.perf_counter() - start
            curve.append(_point(system.trainer.episodes, trained_s, mean_return, system.evaluate()))
            on_progress(curve[-1])
        proofs = system.proofs()
        policy = system.trainer.policy.cpu().state_dict()
    finally:
        system.close()
    partial = checkpoint.with_name(f".{checkpoint.name}.partial")
    torch.save({"layers": layers, "policy": spec.options["policy"], "state": policy}, partial)
    os.replace(partial, checkpoint)  # a checkpoint is there whole or not at all
    return {"layers": layers, "seed": seed, "curve": curve, "proofs": proofs, "checkpoint": str(checkpoint)}


def _point(episodes: int, trained_s: float, training_return: float | None, eval_return: float) -> dict[str, Any]:
    return {
        "episodes": episodes,
        "train_s": trained_s,
        "training_return": training_return,
        "eval_return": eval_return,
    }

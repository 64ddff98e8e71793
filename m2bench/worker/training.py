"""Training one combination to a checkpoint, with its learning curve."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch

from m2bench.records.combinations import Layers
from m2bench.records.inspected import Training, TrainingPoint
from m2bench.records.spec import WorkloadSpec
from m2bench.store.files import written_whole
from m2bench.systems.interface import Told, Workload

from .losses_and_returns import units_of

EVALUATIONS = 20  # points of the learning curve


def train_to_checkpoint(
    workload: Workload,
    spec: WorkloadSpec,
    work: Path,
    layers: Layers,
    episodes: int,
    seed: int,
    checkpoint: Path,
    on_progress: Callable[[TrainingPoint], None],
) -> Training:
    """Train until at least ``episodes`` units were learned from, and save what was trained to ``checkpoint``.

    ``on_progress`` gets each point of the learning curve.
    """
    system = workload.build(spec, work, layers, seed)
    try:
        system.checkpoint()  # which is refused now, and not after the training
        done: float = 0
        curve = [TrainingPoint(done, 0.0, None, system.evaluate())]
        on_progress(curve[0])
        trained_s = 0.0
        while done < episodes:
            goal = min(episodes, episodes * len(curve) / EVALUATIONS)
            start = time.perf_counter()
            told: list[Told] = []
            while done < goal or not told:
                told.append(system.told(system.update()))
                system.check_finite()
                done += units_of(system, told[-1:])
            returns = [float(each.mean_return) for each in told if each.mean_return is not None]
            trained_s += time.perf_counter() - start
            curve.append(TrainingPoint(done, trained_s, fmean(returns) if returns else None, system.evaluate()))
            on_progress(curve[-1])
        proofs, trained = system.proofs(), system.checkpoint()
    finally:
        system.close()
    with written_whole(checkpoint) as partial:
        torch.save({"layers": layers, **trained}, partial)
    return Training(layers, seed, tuple(curve), proofs, str(checkpoint))

"""One learning trial: train one combination until it has learned enough, and keep its learning curve."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from m2bench.records.documents import read
from m2bench.records.results import CurvePoint, LearningResult, NumericsCheck, Proof
from m2bench.records.spec import TrialSpec, WorkloadSpec
from m2bench.statistics.learning_curve import arrival, evaluation_episodes
from m2bench.systems.interface import System, Workload

from .trial import timed_updates


def run_learning_trial(
    workload: Workload, workload_spec: WorkloadSpec, work: Path, spec: TrialSpec, target_return: float
) -> LearningResult:
    """Train until the mean of the last evaluations reaches ``target_return``, or ``spec.limit_s`` seconds are over.

    Raises RuntimeError when training does not stay finite or consumed other episodes than it should have.
    """
    assert spec.limit_s is not None
    begin = time.perf_counter()
    system = workload.build(workload_spec, work, spec.layers, spec.seed)
    try:
        curve: list[CurvePoint] = []
        point = CurvePoint(0, 0, 0.0, system.learned_return())
        for after in evaluation_episodes():
            point = _train_until(system, after, point)
            curve.append(point)
            if arrival(curve, target_return) is not None or time.perf_counter() - begin > spec.limit_s:
                break
        stream = read(NumericsCheck, system.check_stream()["stream"])
        if not stream.same:
            raise RuntimeError(f"the episodes are not the right ones: {stream.reason}")
        return LearningResult(
            curve=tuple(curve),
            episodes_per_update=system.episodes_per_update,
            episodes_to_target=arrival(curve, target_return),
            proofs=read(dict[str, Proof], system.proofs()),
        )
    finally:
        system.close()


def _train_until(system: System, after: int, last: CurvePoint) -> CurvePoint:
    """The next point of the curve: as many whole updates as these episodes allow, and an evaluation after any."""
    updates = (after - last.episodes) // system.episodes_per_update
    if not updates:
        return replace(last, after=after)
    times, _ = timed_updates(system, updates)
    return CurvePoint(
        after,
        episodes=last.episodes + updates * system.episodes_per_update,
        train_s=last.train_s + sum(times),
        mean_return=system.learned_return(),
    )

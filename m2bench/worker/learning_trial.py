"""One learning trial: train one combination until it has learned enough, and keep its learning curve."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from m2bench.errors import TrainerError, TrainingEnded
from m2bench.records.description import Target
from m2bench.records.results import CurvePoint, LearningResult
from m2bench.records.spec import TrialSpec, WorkloadSpec
from m2bench.statistics.learning_curve import arrival, evaluation_episodes
from m2bench.systems.interface import System, Workload

from .losses_and_returns import told_of, units_of
from .timing import timed_updates


def run_learning_trial(
    workload: Workload, workload_spec: WorkloadSpec, work: Path, spec: TrialSpec, target: Target
) -> LearningResult:
    """Train until the mean of the last evaluations reaches the target, or ``spec.limit_s`` seconds are over.

    A trainer that ends before that has not reached it. Raises RuntimeError when training does not stay finite or
    consumed other data than it should have.
    """
    assert spec.limit_s is not None
    begin = time.perf_counter()
    system = workload.build(workload_spec, work, spec.layers, spec.seed)
    try:
        curve: list[CurvePoint] = []
        for point in _told(system, target, spec.limit_s) if target.is_told else _evaluated(system, target):
            curve.append(point)
            if _arrival(curve, target) is not None or time.perf_counter() - begin > spec.limit_s:
                break
        for check in system.check_stream().values():
            if check.same is False:
                raise RuntimeError(f"it has not consumed what it should have: {check.reason}")
        return LearningResult(
            curve=tuple(curve),
            episodes_per_update=system.episodes_per_update,
            episodes_to_target=_arrival(curve, target),
            proofs=system.proofs(),
        )
    finally:
        system.close()


def _arrival(curve: list[CurvePoint], target: Target) -> float | None:
    return arrival(curve, target.value, target.falls)


def _evaluated(system: System, target: Target) -> Iterator[CurvePoint]:
    """The points of the curve: as many whole updates as its episodes allow, and an evaluation after any.

    Where each policy is to count once, there is a point for those after which there was an update.
    """
    point = CurvePoint(0, 0, 0.0, system.learned_return())
    for after in evaluation_episodes(target.first_units):
        updates = int((after - point.episodes) // system.episodes_per_update)
        if not updates:
            if target.each_policy_once:
                continue
            point = replace(point, after=after)
        else:
            times, _ = timed_updates(system, updates)
            episodes = point.episodes + updates * system.episodes_per_update
            point = CurvePoint(
                after=episodes if target.each_policy_once else after,
                episodes=episodes,
                train_s=point.train_s + sum(times),
                mean_return=system.learned_return(),
            )
        yield point


def _told(system: System, target: Target, limit_s: float) -> Iterator[CurvePoint]:
    """The points of the curve: the mean of what updates told since the point before.

    What an update tells is of what was learned before it, from the units of all updates until then. The curve ends
    where the trainer does. Raises TrainerError where the updates of ``limit_s`` seconds tell nothing.
    """
    point: CurvePoint | None = None
    units, train_s, updates = 0.0, 0.0, 0
    for after in evaluation_episodes(target.first_units):
        values: list[float] = []
        learned_from = 0.0
        while units <= after or not (values or point):
            if train_s > limit_s and not (values or point):
                raise TrainerError(f"it yielded no {target.measure} in {limit_s:.0f} s")
            try:
                (seconds,), (told,) = timed_updates(system, 1)
            except TrainingEnded:
                if point is None:
                    raise
                return
            updates += 1
            value = told_of(told, target.measure, updates)
            if value is not None:
                values.append(value)
                learned_from = units
            units += units_of(system, [told])
            train_s += seconds
        if values:
            point = CurvePoint(after, learned_from, train_s, fmean(values))
        else:
            assert point is not None
            point = replace(point, after=after)
        yield point

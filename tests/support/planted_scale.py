"""Runs of ``scale`` whose speeds are planted: what they say of where to train is known beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from made_run import STARTED, description_document, make_record, result

from m2bench.findings.summarize_scale import summarize_scale
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.plan.scale_trials import point_of
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.description import PlaceLimits
from m2bench.records.results import Counts
from m2bench.records.scale_spec import Place, Point, Scale, Setting
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.summary.scale_summary import ScaleSummary

SET: Layers = ("batching", "vectorized-loss")
CPU1, CPU2, GPU = Place("cpu", 1), Place("cpu", 2), Place("mps", 1)
SIZES = (1, 8, 32, 128, 512)
ENVIRONMENTS = Setting("num_envs", SIZES, "batching", "environment", "environments")
Speed = Callable[[Point], float]
"""Units per minute of a point."""


def scale_spec(*places: Place, blocks: int = 3, seed: int = 0) -> RunSpec:
    scale = Scale(combinations=(BASELINE, SET), settings=(ENVIRONMENTS,), places=places)
    return RunSpec(SET, (), blocks, seed, learning="off", scale=scale)


def size_of(point: Point) -> float:
    return float(point.values.get("num_envs", 1))


def crossing_at(size: float, steepness: float = 0.5) -> Speed:
    """The GPU is slower below this size and faster above; two threads are always 30 % slower than one."""

    def speed(point: Point) -> float:
        if point.layers == BASELINE:
            return 100.0
        level = 200.0 * math.pow(size_of(point), 0.4)
        if point.place == GPU:
            return level * math.pow(size_of(point) / size, steepness)
        return level * (0.7 if point.place == CPU2 else 1.0)

    return speed


def record_of(spec: RunSpec) -> RunRecord:
    record = make_record(spec, description_document(SET))
    assert spec.scale is not None
    limits = tuple(PlaceLimits(place=p, peak_flops=1e9, bytes_per_s=1e9, dispatch_s=1e-5) for p in spec.scale.places)
    return replace(record, prepared=replace(record.prepared, places=limits))


def trials_of(
    spec: RunSpec, speed: Speed, sd: float = 0.0, faults: Mapping[str, str] | None = None
) -> list[StoredTrial]:
    """All trials of a run: blocks differ by a fifth, and each trial by ``sd``. ``faults``: why points fail, by name."""
    rng, found = np.random.default_rng(spec.seed), []
    drift = {block: rng.normal(0, 0.2) for block in range(1, spec.blocks + 1)}
    for trial in make_trials(spec):
        point = point_of(trial)
        why = (faults or {}).get(point.name)
        level = speed(point) * math.exp(drift[trial.block] + rng.normal(0, sd))
        counts = Counts({"dispatches": 600.0, "flops": 1e6, "bytes": 1e6}, {})
        measured = None if why else result(level, counts=counts)
        status = "failed" if why else "ok"
        found.append(StoredTrial(trial, STARTED, 1.0, status, why, None, measured))
    return found


def summary_of(spec: RunSpec, speed: Speed, sd: float = 0.0, faults: Mapping[str, str] | None = None) -> ScaleSummary:
    return summarize_scale("run", record_of(spec), trials_of(spec, speed, sd, faults))

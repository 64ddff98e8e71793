"""The worker process: does one job and reports what came of it.

The jobs are those of m2bench/processes/job.py. It imports torch; the parent does not.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
import torch._dynamo  # (optimizers import it when first made, which would be charged to a trial)

from m2bench.devices import counters, device_speed, torch_device
from m2bench.devices.compiler import probe_compiler as probe_compiler
from m2bench.machine import identity
from m2bench.processes.job import (
    AuditJob,
    DescribeJob,
    ForwardJob,
    Job,
    LayersJob,
    LearnJob,
    LimitsJob,
    PrepareJob,
    ProfileJob,
    ThreadsJob,
    TrainJob,
    TrialJob,
    UpdatesJob,
)
from m2bench.processes.lines import Event
from m2bench.processes.turns import Turns
from m2bench.records.description import Description, MeasuredThreads, PlaceLimits, Prepared
from m2bench.records.documents import read
from m2bench.records.inspected import AuditFindings, Looks, TimedPasses, Training, Updated
from m2bench.records.results import LearningResult, TrialResult, WindowMoment
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import load_system

from . import learning_trial, profiling, thread_times, training, trial
from .dispatch import Send, Tell, answer, telling
from .told import units_of


def import_compiler() -> None:
    """Import torch's compiler, a good part of the price of a first compilation."""
    importlib.import_module("torch._inductor.compile_fx")


def run(request: Event, send: Send) -> int:
    """Do the job that is asked for and send its result; the exit code of the process."""
    kind = next(kind for kind in JOBS if kind.name == request["job"])
    job = read(kind, request)
    if job.threads:
        torch.set_num_threads(job.threads)
    return answer(lambda: JOBS[kind](job, telling(send)), send)


def _describe(job: DescribeJob, tell: Tell) -> Description:
    workload = load_system(job.workload)
    described, rules = workload.describe(job.workload, job.work), workload.rules(job.workload)
    layers = tuple(
        replace(layer, needs=rules.needed_by(layer.name), excludes=rules.excluded_by(layer.name))
        for layer in described.layers
    )
    return Description(
        **{**vars(described), "layers": layers}, machine=identity.describe_machine(), counting=counters.COUNTING
    )


def _layers(job: LayersJob, tell: Tell) -> NamedLayers:
    workload = load_system(job.workload)
    return NamedLayers(workload.layers(job.workload), workload.rules(job.workload))


def _threads(job: ThreadsJob, tell: Tell) -> MeasuredThreads:
    workload = load_system(job.workload)
    return MeasuredThreads(
        tuple(thread_times.time_threads(workload, job.workload, job.work, job.combinations, job.candidates))
    )


def _prepare(job: PrepareJob, tell: Tell) -> Prepared:
    begin = time.perf_counter()
    faults = load_system(job.workload).prepare(job.workload, job.work)
    return Prepared(
        prepare_s=time.perf_counter() - begin,
        device_faults=None if faults is None else tuple(faults),
        peak_flops=device_speed.matmul_peak_flops(torch_device.resolve_device(job.workload.device)),
    )


def _limits(job: LimitsJob, tell: Tell) -> PlaceLimits:
    device = torch_device.resolve_device(job.place.device or WorkloadSpec.device)
    return PlaceLimits(
        place=job.place,
        peak_flops=device_speed.matmul_peak_flops(device),
        bytes_per_s=device_speed.memory_bytes_per_s(device),
        dispatch_s=device_speed.dispatch_s(device),
    )


def _trial(job: TrialJob, tell: Tell) -> TrialResult:
    with Turns(**vars(job.turns)) if job.turns else nullcontext() as turns:
        return trial.run_trial(
            workload=load_system(job.workload),
            workload_spec=job.workload,
            work=job.work,
            spec=job.trial,
            window=job.window,
            compiler_import_s=job.compiler_import_s,
            on_window=lambda moment: tell(WindowMoment(moment, os.getpid())),
            turns=turns,
        )


def _learn(job: LearnJob, tell: Tell) -> LearningResult:
    workload = load_system(job.workload)
    return learning_trial.run_learning_trial(workload, job.workload, job.work, job.trial, job.target)


def _profile(job: ProfileJob, tell: Tell) -> Looks:
    workload = load_system(job.workload)
    return profiling.profile_combination(workload, job.workload, job.work, job.layers, job.seed, job.seconds, job.files)


def _updates(job: UpdatesJob, tell: Tell) -> Updated:
    system = load_system(job.workload).build(job.workload, job.work, job.layers, job.seed)
    try:
        with torch_device.captured(job.capture):
            found = [system.update() for _ in range(job.updates)]
            system.synchronize()
    finally:
        system.close()
    return Updated(units_of(system, [*map(system.told, found)]))


def _audit(job: AuditJob, tell: Tell) -> AuditFindings:
    return load_system(job.workload).audit(job.workload, job.work, job.target, job.layers)


def _forward(job: ForwardJob, tell: Tell) -> TimedPasses:
    return TimedPasses(tuple(load_system(job.workload).forward(job.workload, job.sizes, job.passes)))


def _train(job: TrainJob, tell: Tell) -> Training:
    workload = load_system(job.workload)
    return training.train_to_checkpoint(
        workload, job.workload, job.work, job.layers, job.episodes, job.seed, job.checkpoint, on_progress=tell
    )


JOBS: Mapping[type[Job], Callable[[Any, Tell], object]] = {
    LayersJob: _layers,
    DescribeJob: _describe,
    ThreadsJob: _threads,
    PrepareJob: _prepare,
    LimitsJob: _limits,
    TrialJob: _trial,
    LearnJob: _learn,
    ProfileJob: _profile,
    UpdatesJob: _updates,
    AuditJob: _audit,
    ForwardJob: _forward,
    TrainJob: _train,
}

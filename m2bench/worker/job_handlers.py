"""The worker process: does one job and reports what came of it.

The jobs are those of m2bench/processes/job_requests.py. It imports torch; the parent does not.
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
from m2bench.processes import job_requests as asked
from m2bench.processes.json_lines import JobRequest
from m2bench.processes.turns import Turns
from m2bench.records.description import Description, MeasuredThreads, PlaceLimits, Prepared
from m2bench.records.documents import read
from m2bench.records.inspected import AuditFindings, Evaluated, Looks, TimedPasses, Training, Updated
from m2bench.records.results import LearningResult, TrialResult, WindowMoment
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import load_system

from . import learning_trial, profiling, thread_times, training, trial
from .dispatch import Send, Tell, answer, telling
from .losses_and_returns import units_of


def import_compiler() -> None:
    """Import torch's compiler, a good part of the price of a first compilation."""
    importlib.import_module("torch._inductor.compile_fx")


def run(request: JobRequest, send: Send) -> int:
    """Do the job that is asked for and send its result; the exit code of the process."""
    kind = next(kind for kind in JOBS if kind.name == request["job"])
    job = read(kind, request)
    if job.threads:
        torch.set_num_threads(job.threads)
    return answer(lambda: JOBS[kind](job, telling(send)), send)


def _describe(job: asked.DescribeJob, tell: Tell) -> Description:
    workload = load_system(job.workload)
    described, rules = workload.describe(job.workload, job.work), workload.rules(job.workload)
    layers = tuple(
        replace(layer, needs=rules.needed_by(layer.name), excludes=rules.excluded_by(layer.name))
        for layer in described.layers
    )
    return Description(
        **{**vars(described), "layers": layers}, machine=identity.describe_machine(), counting=counters.COUNTING
    )


def _layers(job: asked.LayersJob, tell: Tell) -> NamedLayers:
    workload = load_system(job.workload)
    return NamedLayers(workload.layers(job.workload), workload.rules(job.workload))


def _threads(job: asked.ThreadsJob, tell: Tell) -> MeasuredThreads:
    workload = load_system(job.workload)
    return MeasuredThreads(
        tuple(thread_times.time_threads(workload, job.workload, job.work, job.combinations, job.candidates))
    )


def _prepare(job: asked.PrepareJob, tell: Tell) -> Prepared:
    begin = time.perf_counter()
    faults = load_system(job.workload).prepare(job.workload, job.work)
    prepare_s, device = time.perf_counter() - begin, torch_device.resolve_device(job.workload.device)
    return Prepared(
        prepare_s=prepare_s,
        device_faults=None if faults is None else tuple(faults),
        peak_flops=device_speed.matmul_peak_flops(device),
        peaks=device_speed.matmul_peaks(device),
        bytes_per_s=device_speed.most_memory_bytes_per_s(device),
    )


def _limits(job: asked.LimitsJob, tell: Tell) -> PlaceLimits:
    device = torch_device.resolve_device(job.place.device or WorkloadSpec.device)
    return PlaceLimits(
        place=job.place,
        peak_flops=device_speed.matmul_peak_flops(device),
        bytes_per_s=device_speed.memory_bytes_per_s(device),
        dispatch_s=device_speed.dispatch_s(device),
    )


def _trial(job: asked.TrialJob, tell: Tell) -> TrialResult:
    with Turns(**vars(job.turns)) if job.turns else nullcontext() as turns:
        return trial.run_trial(
            load_system(job.workload), job.workload, job.work, job.trial, job.window, job.compiler_import_s,
            on_window=lambda moment: tell(WindowMoment(moment, os.getpid())), turns=turns,
        )  # fmt: skip


def _learn(job: asked.LearnJob, tell: Tell) -> LearningResult:
    workload = load_system(job.workload)
    return learning_trial.run_learning_trial(workload, job.workload, job.work, job.trial, job.target)


def _profile(job: asked.ProfileJob, tell: Tell) -> Looks:
    workload = load_system(job.workload)
    return profiling.profile_combination(workload, job.workload, job.work, job.layers, job.seed, job.seconds, job.files)


def _updates(job: asked.UpdatesJob, tell: Tell) -> Updated:
    system = load_system(job.workload).build(job.workload, job.work, job.layers, job.seed)
    try:
        with torch_device.captured(job.capture):
            found = [system.update() for _ in range(job.updates)]
            system.synchronize()
    finally:
        system.close()
    return Updated(units_of(system, [*map(system.told, found)]))


def _audit(job: asked.AuditJob, tell: Tell) -> AuditFindings:
    return load_system(job.workload).audit(job.workload, job.work, job.target, job.layers)


def _forward(job: asked.ForwardJob, tell: Tell) -> TimedPasses:
    return TimedPasses(tuple(load_system(job.workload).forward(job.workload, job.sizes, job.passes)))


def _train(job: asked.TrainJob, tell: Tell) -> Training:
    workload = load_system(job.workload)
    return training.train_to_checkpoint(
        workload, job.workload, job.work, job.layers, job.episodes, job.seed, job.checkpoint, on_progress=tell
    )


def _evaluate(job: asked.EvaluateJob, tell: Tell) -> Evaluated:
    return Evaluated(load_system(job.workload).evaluate_checkpoint(job.workload, job.work, job.checkpoint))


JOBS: Mapping[type[asked.Job], Callable[[Any, Tell], object]] = {
    asked.LayersJob: _layers,
    asked.DescribeJob: _describe,
    asked.ThreadsJob: _threads,
    asked.PrepareJob: _prepare,
    asked.LimitsJob: _limits,
    asked.TrialJob: _trial,
    asked.LearnJob: _learn,
    asked.ProfileJob: _profile,
    asked.UpdatesJob: _updates,
    asked.AuditJob: _audit,
    asked.ForwardJob: _forward,
    asked.TrainJob: _train,
    asked.EvaluateJob: _evaluate,
}

"""The worker process: does one job and reports what came of it.

Jobs: ``layers`` (their names and rules), ``describe`` (this machine, the layers, the data), ``threads`` (how fast with
how many), ``prepare`` (what the checks of all trials compare with), ``limits`` (what a place can do at most), ``trial``
(how fast), ``learn`` (how well), ``profile`` (where the time goes), ``updates`` (some, for a log of the device's own),
``audit`` (what another device would lack), ``forward`` (forward passes alone), ``train`` (to a checkpoint). It imports
torch; the parent does not.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # (optimizers import it when first made, which would be charged to a trial)

from m2bench.devices import counters, device_speed, torch_device
from m2bench.devices.compiler import probe_compiler as probe_compiler
from m2bench.machine import identity
from m2bench.processes.turns import Turns
from m2bench.records.description import PlaceLimits, Prepared, Target
from m2bench.records.documents import read, to_json
from m2bench.records.rules import NamedLayers
from m2bench.records.scale import Place
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.systems.defaults import load_system

from . import learning_trial, profiling, thread_times, training, trial
from .dispatch import Send, answer


def import_compiler() -> None:
    """Import torch's compiler, a good part of the price of a first compilation."""
    importlib.import_module("torch._inductor.compile_fx")


def run(request: dict[str, Any], send: Send) -> int:
    """Do the job named in the request and send its result; the exit code of the process."""
    if request.get("threads"):
        torch.set_num_threads(request["threads"])
    return answer(lambda: JOBS[request["job"]](request, send), send)


def _describe(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    workload = load_system(spec)
    described, rules = workload.describe(spec, Path(request["work"])), workload.rules(spec)
    layers = [{**layer, **(rules.of(layer["name"]) if rules else {})} for layer in described["layers"]]
    return {**described, "layers": layers, "machine": identity.describe_machine(), "counting": counters.COUNTING}


def _layers(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    workload = load_system(spec)
    return to_json(NamedLayers(workload.layers(spec), workload.rules(spec)))


def _threads(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    combinations = [tuple(layers) for layers in request["combinations"]]
    workload = load_system(spec)
    measured = thread_times.time_threads(workload, spec, Path(request["work"]), combinations, request["candidates"])
    return {"measured": [to_json(times) for times in measured]}


def _prepare(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    begin = time.perf_counter()
    faults = load_system(spec).prepare(spec, Path(request["work"]))
    prepared = Prepared(
        prepare_s=time.perf_counter() - begin,
        device_faults=None if faults is None else tuple(faults),
        peak_flops=device_speed.matmul_peak_flops(torch_device.resolve_device(spec.device)),
    )
    return to_json(prepared)


def _limits(request: dict[str, Any], send: Send) -> dict[str, Any]:
    place = read(Place, request["place"])
    device = torch_device.resolve_device(place.device or WorkloadSpec.device)
    limits = PlaceLimits(
        place=place,
        peak_flops=device_speed.matmul_peak_flops(device),
        bytes_per_s=device_speed.memory_bytes_per_s(device),
        dispatch_s=device_speed.dispatch_s(device),
    )
    return to_json(limits)


def _trial(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    with Turns(**request["turns"]) if request.get("turns") else nullcontext() as turns:
        result = trial.run_trial(
            workload=load_system(spec),
            workload_spec=spec,
            work=Path(request["work"]),
            spec=read(TrialSpec, request["trial"]),
            window=read(WindowSpec, request["window"]),
            compiler_import_s=request["compiler_import_s"],
            on_window=lambda moment: send({"event": "progress", "window": moment, "pid": os.getpid()}),
            turns=turns,
        )
    return to_json(result)


def _learn(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    result = learning_trial.run_learning_trial(
        workload=load_system(spec),
        workload_spec=spec,
        work=Path(request["work"]),
        spec=read(TrialSpec, request["trial"]),
        target=read(Target, request["target"]),
    )
    return to_json(result)


def _profile(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    return profiling.profile_combination(
        workload=load_system(spec),
        spec=spec,
        work=Path(request["work"]),
        layers=tuple(request["layers"]),
        seed=request["seed"],
        seconds=request["seconds"],
        files=request["files"] and Path(request["files"]),
    )


def _updates(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    workload = load_system(spec)
    system = workload.build(spec, Path(request["work"]), tuple(request["layers"]), request["seed"])
    try:
        with torch_device.captured(request.get("capture")):
            found = [system.update() for _ in range(request["updates"])]
            system.synchronize()
    finally:
        system.close()
    return {"episodes": trial.units_of(system, [*map(system.told, found)])}


def _audit(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    workload = load_system(spec)
    return workload.audit(spec, Path(request["work"]), request["target"], tuple(request["layers"]))


def _forward(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    return {"timed": load_system(spec).forward(spec, request["sizes"], request["passes"])}


def _train(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = read(WorkloadSpec, request["workload"])
    return training.train_to_checkpoint(
        workload=load_system(spec),
        spec=spec,
        work=Path(request["work"]),
        layers=tuple(request["layers"]),
        episodes=request["episodes"],
        seed=request["seed"],
        checkpoint=Path(request["checkpoint"]),
        on_progress=lambda progress: send({"event": "progress", **progress}),
    )


JOBS: dict[str, Callable[[dict[str, Any], Send], Any]] = {
    "layers": _layers,
    "describe": _describe,
    "threads": _threads,
    "prepare": _prepare,
    "limits": _limits,
    "trial": _trial,
    "learn": _learn,
    "profile": _profile,
    "updates": _updates,
    "audit": _audit,
    "forward": _forward,
    "train": _train,
}

"""The worker process: does one job and reports what came of it.

Jobs: ``layers`` (their names), ``describe`` (this machine, the layers, the data), ``threads`` (how fast with how
many), ``prepare`` (what the checks of all trials compare with), ``trial`` (how fast), ``learn`` (how well), ``profile``
(where the time goes), ``updates`` (some, for a log of the device's own), ``audit`` (what another device would lack),
``forward`` (forward passes alone), ``train`` (to a checkpoint). It imports torch; the parent does not.
"""

from __future__ import annotations

import importlib
import os
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # (optimizers import it when first made, which would be charged to a trial)

from m2bench.devices import counters, device_speed, torch_device
from m2bench.devices.compiler import probe_compiler as probe_compiler
from m2bench.machine import identity
from m2bench.processes.turns import Turns
from m2bench.records.description import Prepared
from m2bench.records.documents import to_json
from m2bench.records.errors import TrainerError, UserError
from m2bench.records.results import Failure
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.systems.defaults import load_system

from . import learning_trial, profiling, thread_times, training, trial

Send = Callable[[dict[str, Any]], None]


def import_compiler() -> None:
    """Import torch's compiler, a good part of the price of a first compilation."""
    importlib.import_module("torch._inductor.compile_fx")


def run(request: dict[str, Any], send: Send) -> int:
    """Do the job named in the request and send its result; the exit code of the process."""
    try:
        if request.get("threads"):
            torch.set_num_threads(request["threads"])
        result = JOBS[request["job"]](request, send)
    except UserError as error:
        send({"event": "result", "error": str(error)})
        return 1
    except TrainerError as error:
        send({"event": "result", "failure": str(error), "kind": "error"})
        with suppress(OSError):
            traceback.print_exc()
        return 1
    except Exception as error:  # noqa: BLE001 (whatever went wrong in a trial is its result)
        failure = Failure(
            "not finite" if isinstance(error, FloatingPointError) else "error",
            f"{type(error).__name__}: {_first_line(error)}",
        )
        send({"event": "result", "failure": failure.text, "kind": failure.kind})
        with suppress(OSError):  # a full disk has no room for the log
            traceback.print_exc()
        return 1
    send({"event": "result", "result": result})
    return 0


def _describe(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    described = load_system(spec).describe(spec, Path(request["work"]))
    return {**described, "machine": identity.describe_machine(), "counting": counters.COUNTING}


def _layers(request: dict[str, Any], send: Send) -> list[str]:
    spec = WorkloadSpec.from_json(request["workload"])
    return [*load_system(spec).layers(spec)]


def _threads(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    combinations = [tuple(layers) for layers in request["combinations"]]
    workload = load_system(spec)
    measured = thread_times.time_threads(workload, spec, Path(request["work"]), combinations, request["candidates"])
    return {"measured": [to_json(times) for times in measured]}


def _prepare(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    begin = time.perf_counter()
    faults = load_system(spec).prepare(spec, Path(request["work"]))
    prepared = Prepared(
        prepare_s=time.perf_counter() - begin,
        device_faults=None if faults is None else tuple(faults),
        peak_flops=device_speed.matmul_peak_flops(torch_device.resolve_device(spec.device)),
    )
    return to_json(prepared)


def _trial(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    workload, told = load_system(spec), TrialSpec.from_json(request["trial"])

    def on_window(moment: str) -> None:
        send({"event": "progress", "window": moment, "pid": os.getpid()})

    if workload.measure is not None:
        return to_json(workload.measure(spec, told.layers, told.seed, on_window))
    with Turns(**request["turns"]) if request.get("turns") else nullcontext() as turns:
        result = trial.run_trial(
            workload=workload,
            workload_spec=spec,
            work=Path(request["work"]),
            spec=told,
            window=WindowSpec(**request["window"]),
            compiler_import_s=request["compiler_import_s"],
            on_window=on_window,
            turns=turns,
        )
    return to_json(result)


def _learn(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    result = learning_trial.run_learning_trial(
        workload=load_system(spec),
        workload_spec=spec,
        work=Path(request["work"]),
        spec=TrialSpec.from_json(request["trial"]),
        target_return=request["target_return"],
    )
    return to_json(result)


def _profile(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
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
    spec = WorkloadSpec.from_json(request["workload"])
    workload = load_system(spec)
    system = workload.build(spec, Path(request["work"]), tuple(request["layers"]), request["seed"])
    try:
        with torch_device.captured(request.get("capture")):
            for _ in range(request["updates"]):
                system.update()
            system.synchronize()
    finally:
        system.close()
    return {"episodes": request["updates"] * system.episodes_per_update}


def _audit(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    workload = load_system(spec)
    return workload.audit(spec, Path(request["work"]), request["target"], tuple(request["layers"]))


def _forward(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    return {"timed": load_system(spec).forward(spec, request["sizes"], request["passes"])}


def _train(request: dict[str, Any], send: Send) -> dict[str, Any]:
    spec = WorkloadSpec.from_json(request["workload"])
    return training.train(
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
    "trial": _trial,
    "learn": _learn,
    "profile": _profile,
    "updates": _updates,
    "audit": _audit,
    "forward": _forward,
    "train": _train,
}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "(no message)"

"""The worker of a system whose trials are programs of their own; it does the jobs that such a system has.

It imports no torch: nothing in here computes with it, and the program starts beside a small process.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from m2bench.errors import TrainerError, UserError
from m2bench.machine import identity
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Prepared
from m2bench.records.documents import read, to_json
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import TrialSpec, WorkloadSpec

from .dispatch import Send, answer

if TYPE_CHECKING:
    from m2bench.systems.interface import Program

ANSWER_S = 0.5  # a program is ended so long before the parent ends this process, which still tells its last lines


def run(request: dict[str, Any], send: Send) -> int:
    """Do the job named in the request and send its result; the exit code of the process."""
    limit_s = request["timeout_s"] - ANSWER_S
    return answer(lambda: _job(request["job"])(_program(request), request, limit_s, send), send)


def _program(request: dict[str, Any]) -> Program:
    """The system, in whose folder this process works from here on."""
    spec = read(WorkloadSpec, request["workload"])
    try:
        os.chdir(spec.folder)
    except OSError as error:
        raise UserError(f"the command runs in {spec.folder}: {error.strerror}.", "Bring that folder back.") from error
    program: Program = importlib.import_module(spec.module).load_workload(spec)
    return program


def _layers(program: Program, request: dict[str, Any], limit_s: float, send: Send) -> dict[str, Any]:
    return to_json(NamedLayers(program.layers()))


def _describe(program: Program, request: dict[str, Any], limit_s: float, send: Send) -> dict[str, Any]:
    return {**program.describe(), "machine": identity.describe_machine()}


def _prepare(program: Program, request: dict[str, Any], limit_s: float, send: Send) -> dict[str, Any]:
    """Run the plain program once, which fills the caches of files: what fails here fails in every trial."""
    begin = time.perf_counter()
    try:
        found = program.measure(BASELINE, 0, limit_s, lambda moment: None)
    except TrainerError as error:
        raise UserError(f"without any layer {error}.", "Mend that first: nothing was measured.") from error
    return to_json(Prepared(prepare_s=time.perf_counter() - begin, peak_flops=0.0, metrics=found.metrics))


def _trial(program: Program, request: dict[str, Any], limit_s: float, send: Send) -> dict[str, Any]:
    def on_window(moment: str) -> None:
        send({"event": "progress", "window": moment, "pid": os.getpid()})

    trial = read(TrialSpec, request["trial"])
    return to_json(program.measure(trial.layers, trial.seed, limit_s, on_window))


Job = Callable[["Program", dict[str, Any], float, Send], Any]
JOBS: dict[str, Job] = {"layers": _layers, "describe": _describe, "prepare": _prepare, "trial": _trial}


def _job(name: str) -> Job:
    if name not in JOBS:
        raise UserError(
            "a command cannot be looked into.", "Ask that of a function of your own, as my_trainer.py:train."
        )
    return JOBS[name]

"""The worker of a system whose trials are programs of their own; it does the jobs that such a system has.

It imports no torch: nothing in here computes with it, and the program starts beside a small process.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from m2bench.errors import TrainerError, UserError
from m2bench.machine import identity
from m2bench.processes.job_requests import DescribeJob, LayersJob, PrepareJob, SystemJob, TrialJob
from m2bench.processes.json_lines import JobRequest
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Description, Prepared
from m2bench.records.documents import read
from m2bench.records.results import Moment, TrialResult, WindowMoment
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import WorkloadSpec

from .dispatch import Send, Tell, answer, telling

if TYPE_CHECKING:
    from m2bench.systems.interface import Program

ANSWER_S = 0.5  # a program is ended so long before the parent ends this process, which still tells its last lines


def run(request: JobRequest, send: Send) -> int:
    """Do the job that is asked for and send its result; the exit code of the process."""

    def do() -> object:
        kind = next((kind for kind in JOBS if kind.name == request["job"]), None)
        if kind is None:
            raise UserError(
                "m2bench cannot look inside a command.", "Use a function of your own, such as my_trainer.py:train."
            )
        job = read(kind, request)
        return JOBS[kind](_program(job.workload), job, telling(send))

    return answer(do, send)


def _program(spec: WorkloadSpec) -> Program:
    """The system, in whose folder this process works from here on."""
    try:
        os.chdir(spec.folder)
    except OSError as error:
        raise UserError(f"the command runs in {spec.folder}: {error.strerror}.", "Bring that folder back.") from error
    program: Program = importlib.import_module(spec.module).load_workload(spec)
    return program


def _layers(program: Program, job: LayersJob, tell: Tell) -> NamedLayers:
    return NamedLayers(program.layers())


def _describe(program: Program, job: DescribeJob, tell: Tell) -> Description:
    return Description(**vars(program.describe()), machine=identity.describe_machine())


def _prepare(program: Program, job: PrepareJob, tell: Tell) -> Prepared:
    """Run the plain program once, which fills the caches of files: what fails here fails in every trial."""
    begin = time.perf_counter()
    try:
        found = program.measure(BASELINE, 0, job.timeout_s - ANSWER_S, lambda moment: None)
    except TrainerError as error:
        raise UserError(f"without any layer {error}.", "Fix the command first; nothing was measured.") from error
    return Prepared(prepare_s=time.perf_counter() - begin, peak_flops=0.0, metrics=found.metrics)


def _trial(program: Program, job: TrialJob, tell: Tell) -> TrialResult:
    def on_window(moment: Moment) -> None:
        tell(WindowMoment(moment, os.getpid()))

    return program.measure(job.trial.layers, job.trial.seed, job.timeout_s - ANSWER_S, on_window)


JOBS: Mapping[type[SystemJob], Callable[[Program, Any, Tell], object]] = {
    LayersJob: _layers,
    DescribeJob: _describe,
    PrepareJob: _prepare,
    TrialJob: _trial,
}

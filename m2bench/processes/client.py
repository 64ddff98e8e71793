"""Runs trials one after another, each in a process of its own, and stores each result as it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from m2bench.machine.conditions import Watch
from m2bench.machine.identity import PASSIVE_WAITING
from m2bench.machine.telemetry import Telemetry, probes_for
from m2bench.records.errors import UserError, WorkerError
from m2bench.records.folders import open_log
from m2bench.records.spec import RunSpec, TrialSpec, WorkloadSpec
from m2bench.run.store import Store, StoredTrial

from .launcher import SAFE_PATH, Lines

DESCRIBE_TIMEOUT_S = 600.0

# Variables that a worker inherits; everything else of the shell stays outside the experiment.
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SDKROOT",
    "CC",
    "CXX",
)
INHERITED_PREFIXES = (
    "LC_", "PYTHON", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "GOMP_", "PYTORCH_", "TORCH", "CUDA_", "NVIDIA_", "TRITON_",
    "DYLD_", "XDG_",
)  # fmt: skip

Progress = Callable[[dict[str, Any]], None]
Execute = Callable[[TrialSpec, Path], dict[str, Any]]
"""Runs one trial with its log at the path; the worker's result, or {"failure": why}, and its "conditions"."""


class Launcher:
    """Starts workers, one at a time. Use as a context manager; on leaving, no process is left.

    ``environment``: variables that the workers get beside those of all workers. ``threads``: how many torch uses in
    each worker; None leaves that to torch.
    """

    threads: int | None = None

    def __init__(self, work: Path, log: Path, environment: dict[str, str] | None = None):
        self._environment = environment or {}
        self.work = work.resolve()
        self._log = log.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._compiler_import_s = 0.0

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def preload_compiler(self, probe: bool) -> None:
        """Let the workers from here on start with torch's compiler imported, which the profiler needs as well.

        With ``probe`` the compiler also examines the CPU beforehand, which takes some seconds.
        """
        outcome = self.run("preload", {"probe": probe}, self._log, DESCRIBE_TIMEOUT_S)
        self._compiler_import_s = float(outcome.get("result", 0.0))

    def end_worker(self) -> None:
        """End the worker under way, from another thread than the one that runs it."""
        if self._process is not None:
            with suppress(BrokenPipeError):
                _write_line(self._process, {"kill": True})

    def stop(self) -> None:
        """End the launcher and the worker under way."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # a launcher that has died has left a line unread
            process.stdin.close()  # the launcher takes this as the order to end what it runs
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def run(
        self, job: str, request: dict[str, Any], log: Path, timeout_s: float, on_progress: Progress | None = None
    ) -> dict[str, Any]:
        """Run one job in a worker: its result, or {"failure": why} for one that crashed, hung or was killed.

        Raises UserError when the worker found something the user can put right.
        """
        open_log(log).close()  # the worker has nowhere to say that it cannot write there
        process, lines = self._start()
        document = {
            "job": job,
            "work": str(self.work),
            "log": str(log.resolve()),
            "compiler_import_s": self._compiler_import_s,
            "threads": self.threads,
            **request,
        }
        try:
            _write_line(process, document)
            outcome = _collect(process, lines, timeout_s, on_progress)
        except BrokenPipeError:
            outcome = {"failure": "the launcher of the worker died"}
        if lines.ended or process.poll() is not None:
            self.stop()  # the next job gets a new launcher
        if "error" in outcome:
            raise UserError(outcome["error"])
        return outcome

    def _start(self) -> tuple[subprocess.Popen[bytes], Lines]:
        if self._process is None:
            with open_log(self._log) as log:
                self._process = subprocess.Popen(
                    [sys.executable, SAFE_PATH, "-m", "m2bench.processes.launcher"],
                    cwd=self.work,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=worker_environment(self.work) | self._environment,
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which ends things in order
                )
            assert self._process.stdout is not None
            self._lines = Lines(self._process.stdout.fileno())
            self._compiler_import_s = 0.0
            if self._lines.next() is None:
                self.stop()
                raise WorkerError("the worker processes cannot start.", f"The reason stands in {self._log}.")
        return self._process, self._lines


def _collect(
    process: subprocess.Popen[bytes], lines: Lines, timeout_s: float, on_progress: Progress | None
) -> dict[str, Any]:
    """Read the worker's events until it has gone."""
    outcome: dict[str, Any] = {}
    deadline = time.monotonic() + timeout_s
    timed_out = False
    while True:
        event = lines.take()
        if event is None:
            if lines.ended:
                return {"failure": "the launcher of the worker died"}
            remaining = None if timed_out else max(0.0, deadline - time.monotonic())
            if select.select([lines.fd], [], [], remaining)[0]:
                lines.read()
            else:
                timed_out = True
                _write_line(process, {"kill": True})
        elif event["event"] == "progress":
            if on_progress is not None:
                on_progress(event)
        elif event["event"] == "result":
            outcome = {key: value for key, value in event.items() if key != "event"}
        elif event["event"] == "exit":
            if timed_out:
                outcome = {"failure": f"no result after {timeout_s:g} s; killed"}
            return {**(outcome or {"failure": _describe_exit(event["code"])}), "cpu_s": event.get("cpu_s")}


def _describe_exit(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"the worker was killed by {name}{hint}"
    return f"the worker ended with exit code {code} and no result"


def _write_line(process: subprocess.Popen[bytes], document: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(document).encode() + b"\n")
    process.stdin.flush()


def worker_environment(work: Path) -> dict[str, str]:
    """The environment of every worker: a fixed part of the shell's, and caches that belong to this run."""
    inherited = {k: v for k, v in os.environ.items() if k in INHERITED or k.startswith(INHERITED_PREFIXES)}
    # Compiled code is kept within the run: its first use is cold, later ones are warm, whatever ran before.
    return {
        **PASSIVE_WAITING,  # unless the shell says otherwise
        **inherited,
        "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"),
        "TRITON_CACHE_DIR": str(work / "triton"),
        "TORCH_WARM_POOL": "0",  # no compiler processes before there is something to compile
        "PYTHONUNBUFFERED": "1",
    }


def describe(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> dict[str, Any]:
    """Machine, device, layers and workload, found by a worker, which also prepares the market.

    Raises UserError for a device or data that cannot be used, and WorkerError when the worker fails.
    """
    log = logs / "describe.log"
    outcome = launcher.run("describe", {"workload": asdict(workload)}, log, DESCRIBE_TIMEOUT_S)
    if "failure" in outcome:
        raise WorkerError(f"this machine cannot be examined: {outcome['failure']}.", f"The log is {log}.")
    description: dict[str, Any] = outcome["result"]
    return description


def prepare(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> dict[str, Any]:
    """Have a worker prepare what the gates of all trials compare with, and measure what the device can do at most.

    ``prepare_s``: the seconds that the former took; ``device_faults``: what the device computes wrongly, which is to be
    refused (wrong_device.py); ``peak_flops``: the latter (devices.matmul_peak_flops).

    Raises WorkerError when the worker fails.
    """
    log = logs / "prepare.log"
    outcome = launcher.run("prepare", {"workload": asdict(workload)}, log, DESCRIBE_TIMEOUT_S)
    if "failure" in outcome:
        raise WorkerError(f"the numerics gate cannot be prepared: {outcome['failure']}.", f"The log is {log}.")
    return {name: outcome["result"][name] for name in ("prepare_s", "device_faults", "peak_flops")}


def run_watched(
    launcher: Launcher,
    job: str,
    request: dict[str, Any],
    log: Path,
    timeout_s: float,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Run one job; what comes of it also tells under "conditions" what the machine did besides (conditions.Watch)."""
    watch = Watch()
    outcome = launcher.run(job, request, log, timeout_s, on_progress)
    return {**outcome, "conditions": watch.conditions(outcome.get("cpu_s"))}


def trial_executor(
    launcher: Launcher, spec: RunSpec, device: dict[str, Any], target_return: float | None = None
) -> Execute:
    """Runs trials of the run in worker processes; ``target_return`` is what learning trials are to reach.

    Meanwhile the machine is watched as far as it can be with a ``device`` that describes itself so.
    """
    common: dict[str, Any] = {
        "workload": asdict(spec.workload),
        "window": asdict(spec.window),
        "target_return": target_return,
    }
    jobs = {"speed": "trial", "learning": "learn", "sweep": "trial"}
    probes = probes_for(device)

    def execute(trial: TrialSpec, log: Path) -> dict[str, Any]:
        telemetry, request = Telemetry(probes), {"trial": asdict(trial), **common}
        if trial.num_envs is not None:
            request["workload"] = {**common["workload"], "num_envs": trial.num_envs}
        outcome = run_watched(launcher, jobs[trial.kind], request, log, spec.trial_timeout_s, telemetry.follow)
        outcome["conditions"]["telemetry"] = telemetry.summary()
        return outcome

    return execute


def run_trials(
    trials: Iterable[TrialSpec],
    unsupported: dict[str, str],
    store: Store,
    execute: Execute,
    before: Callable[[TrialSpec], None],
    after: Callable[[StoredTrial], None],
) -> None:
    """Run the trials in order and store each as it ends.

    ``unsupported`` gives the reason for each layer that cannot run here; a combination with one is stored as
    unsupported without being run. ``before`` and ``after`` are told of each trial. The next trial is asked for when
    the one before it is stored, so it may depend on what was measured.
    """
    for trial in trials:
        before(trial)
        started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        reasons = [f"{layer}: {unsupported[layer]}" for layer in trial.layers if layer in unsupported]
        if reasons:
            stored = StoredTrial(trial, started, 0.0, "unsupported", "; ".join(reasons), None, {})
        else:
            log = store.folder / "logs" / f"{trial.key}.log"
            outcome = execute(trial, log)
            judged = _judge(trial, started, time.monotonic() - begin, log.relative_to(store.folder), outcome)
            stored = replace(judged, conditions=outcome.get("conditions", {}))
        store.add(stored)
        after(stored)


def _judge(trial: TrialSpec, started: str, elapsed_s: float, log: Path, outcome: dict[str, Any]) -> StoredTrial:
    if "failure" in outcome:
        return StoredTrial(trial, started, elapsed_s, "failed", outcome["failure"], str(log), {})
    result = outcome["result"]
    idle = [f"{layer}: {proof['reason']}" for layer, proof in result["proofs"].items() if not proof["engaged"]]
    if idle:
        return StoredTrial(trial, started, elapsed_s, "not-engaged", "; ".join(idle), str(log), result)
    return StoredTrial(trial, started, elapsed_s, "ok", None, str(log), result)

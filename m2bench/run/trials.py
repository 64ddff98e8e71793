"""Runs trials one after another, each in a process of its own, and stores each result as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from m2bench.machine.conditions import Watch
from m2bench.machine.telemetry import Telemetry, probes_for
from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import JobOutcome, Launcher
from m2bench.processes.job_requests import Job, LearnJob, TrialJob
from m2bench.records.description import Device, Target
from m2bench.records.results import Conditions, Failure, idle_layers
from m2bench.records.spec import TrialSpec
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import RESULTS, Result, StoredTrial

T = TypeVar("T")


@dataclass(frozen=True)
class Watched(Generic[T]):
    """What came of a job, its result or why there is none, and what the machine did besides."""

    result: T | Failure
    conditions: Conditions


Execute = Callable[[TrialSpec, Path], Watched[Result]]
"""Runs one trial with its log at the path."""


def watched(run: Callable[[], JobOutcome[T]]) -> Watched[T]:
    """Run a job, and watch the machine meanwhile (conditions.Watch)."""
    watch = Watch()
    outcome = run()
    return Watched(outcome.result, watch.conditions(outcome.cpu_s))


def trial_executor(launcher: Launcher, spec: RunSpec, device: Device, target: Target | None = None) -> Execute:
    """Runs trials of the run in worker processes; ``target`` is what learning trials are to reach.

    Meanwhile the machine is watched as far as it can be with a ``device`` that describes itself so.
    """
    probes = probes_for(device)

    def execute(trial: TrialSpec, log: Path) -> Watched[Result]:
        telemetry, kind = Telemetry(probes), RESULTS[trial.kind]
        workload = replace(spec.workload, options={**spec.workload.options, **trial.options})
        job: Job
        if trial.kind == "speed":
            job = TrialJob(workload=workload, trial=trial, window=spec.window)
        else:
            assert target is not None, "learning is measured where there is one"
            job = LearnJob(workload=workload, trial=trial, target=target)
        found = watched(partial(launcher.run, job, kind, log, spec.trial_timeout_s, telemetry.follow))
        return replace(found, conditions=replace(found.conditions, telemetry=telemetry.summary()))

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
        reasons = [f"{layer}: {unsupported[layer]}" for layer in trial.layers if layer in unsupported]
        if reasons:
            stored = StoredTrial(trial, _now(), 0.0, "unsupported", "; ".join(reasons), None, None)
        else:
            stored = run_trial(trial, store.folder, execute)
        store.add(stored)
        after(stored)


def run_trial(trial: TrialSpec, folder: Path, execute: Execute) -> StoredTrial:
    """Run one trial of the run in ``folder``; what is to be stored of it."""
    started, begin, log = _now(), time.monotonic(), Path("logs") / f"{trial.key}.log"
    found = execute(trial, folder / log)
    elapsed_s = time.monotonic() - begin
    status, reason, result = _judge(found.result)
    return StoredTrial(trial, started, elapsed_s, status, reason, str(log), result, found.conditions)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _judge(found: Result | Failure) -> tuple[str, str | None, Result | None]:
    """Status, reason and result of a trial that was run."""
    if isinstance(found, Failure):
        return "failed", found.text, None
    idle = idle_layers(found.proofs)
    return ("not-engaged", "; ".join(idle), found) if idle else ("ok", None, found)

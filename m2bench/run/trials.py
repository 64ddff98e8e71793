"""Runs trials one after another, each in a process of its own, and stores each result as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from m2bench.machine.conditions import Watch
from m2bench.machine.telemetry import Telemetry, probes_for
from m2bench.processes.client import Launcher, Progress
from m2bench.records.spec import RunSpec, TrialSpec
from m2bench.records.trials import StoredTrial

from .store import Store

Execute = Callable[[TrialSpec, Path], dict[str, Any]]
"""Runs one trial with its log at the path; the worker's result, or {"failure": why}, and its "conditions"."""


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
        "workload": spec.workload.to_json(),
        "window": asdict(spec.window),
        "target_return": target_return,
    }
    jobs = {"speed": "trial", "learning": "learn", "sweep": "trial"}
    probes = probes_for(device)

    def execute(trial: TrialSpec, log: Path) -> dict[str, Any]:
        telemetry, request = Telemetry(probes), {"trial": trial.to_json(), **common}
        request["workload"] = {**common["workload"], **trial.options}
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

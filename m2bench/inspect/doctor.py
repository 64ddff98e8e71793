"""The command ``doctor``: what this machine is, what disturbs measuring on it, and what it can tell apart."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError
from m2bench.findings.noise import describe_conditions, measure_repeats
from m2bench.machine.checks import Finding, check_machine
from m2bench.options.known_systems import known_system
from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import Launcher
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Device
from m2bench.records.documents import FLAT
from m2bench.records.figure import Figure
from m2bench.records.refusals import refuse_wrong_device
from m2bench.records.results import Failure, RunConditions
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.run.describe import describe, prepare, show_remarks_on_data
from m2bench.run.threads import choose_threads
from m2bench.run.trials import trial_executor
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.subject import MeasuredOn

from .resolution import DesignErrors, Resolution, Resolved, resolution_sentences

LEAST_TRIALS = 4
WINDOW = WindowSpec()  # of the default run: shorter ones scatter more


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What the doctor found. ``fit``: nothing forbids measuring here. ``window``: how the ``trials`` were timed.

    ``drift``: the speed of the last trial over that of the first.
    """

    checks: tuple[Finding, ...]
    fit: bool
    machine: MeasuredOn
    trials: int
    window: WindowSpec
    resolved: Resolved = field(metadata=FLAT)
    drift: Figure
    conditions: RunConditions


def examine(workload: WorkloadSpec, seconds: float, console: Console) -> Examination:
    """Run the baseline repeatedly for so many seconds, and examine what that shows.

    Raises UserError when it does not run.
    """
    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            with console.status("examining this machine and preparing the data"):
                description = describe(launcher, workload, work)
                show_remarks_on_data(description, console)
                layers = known_system(workload.module).layers.named(None) or tuple(x.name for x in description.layers)
                description = choose_threads(launcher, description, workload, layers, None, work)
                prepared = prepare(launcher, workload, work)
                refuse_wrong_device(description.device, prepared.device_faults or ())
                if description.device.fork_after_compiler_import:
                    launcher.preload_compiler(probe=False)
            with console.status(f"training the baseline again and again for {seconds:.0f} seconds"):
                trials = _repeat(launcher, workload, description.device, work, seconds)
    resolution = Resolution.from_speeds([trial.timed.episodes_per_min for trial in trials])
    conditions = describe_conditions(trials)
    checks = check_machine(description, description.layers, conditions, resolution.trial_sd, Path.cwd())
    drift = measure_repeats(trials).drift
    assert drift is not None, "there are several trials"
    return Examination(
        checks=tuple(checks),
        fit=all(check.state != "bad" for check in checks),
        machine=MeasuredOn(description.machine, description.device),
        trials=len(trials),
        window=WINDOW,
        resolved=Resolved.by(resolution, DesignErrors.of_full_design(layers)),
        drift=drift,
        conditions=conditions,
    )


def _repeat(
    launcher: Launcher, workload: WorkloadSpec, device: Device, work: Path, seconds: float
) -> list[StoredTrial]:
    execute = trial_executor(launcher, RunSpec((), ("full",), 1, 0, workload, WINDOW), device)
    trials: list[StoredTrial] = []
    begin = time.monotonic()
    while len(trials) < LEAST_TRIALS or time.monotonic() - begin < seconds:
        started = time.monotonic()
        spec = TrialSpec(f"doctor{len(trials)}", BASELINE, 1, 0)
        found = execute(spec, work / "doctor.log")
        if isinstance(found.result, Failure):
            raise UserError(f"the baseline does not run on this machine: {found.result.text}.")
        elapsed_s = time.monotonic() - started
        trials.append(StoredTrial(spec, "", elapsed_s, "ok", None, None, found.result, found.conditions))
    return trials


def show_examination(found: Examination, console: Console) -> None:
    """Print what was found, problems first."""
    machine, device = found.machine.machine, found.machine.device
    marks = {"bad": "PROBLEM", "note": "note", "ok": "ok"}
    for check in found.checks:
        fix = f" {check.fix}" if check.fix else ""
        console.print(f"{marks[check.state]:<8} {check.name:<12} {check.found}.{fix}")
    facts = {
        "machine": f"{machine.chip}, {machine.physical_cores} cores, {machine.memory_mb / 1e3:.0f} GB",
        "system": machine.system,
        "python, torch": f"{machine.python}, {device.torch}",
    }
    lines = ["", *(f"{name:<14} {value}" for name, value in facts.items()), ""]
    lines += [*resolution_sentences(found.trials, found.resolved, found.drift), ""]
    lines += [f"Warning: {warning}." for warning in found.conditions.warnings]
    problems = sum(check.state == "bad" for check in found.checks)
    lines.append(
        f"{problems} problem{'s' if problems > 1 else ''}: fix {'them' if problems > 1 else 'it'} before you measure."
        if problems
        else "This machine is fit for measuring."
    )
    for line in lines:
        console.print(line)

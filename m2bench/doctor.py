"""The command ``doctor``: what this machine is, what disturbs measuring on it, and what it can tell apart."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from .checks import check_machine
from .conditions import Watch
from .errors import UserError
from .noise import describe_conditions
from .plan import make_trials
from .runner import Launcher, describe, prepare, trial_executor
from .spec import BASELINE, QUICK, RunSpec, TrialSpec, WorkloadSpec
from .store import StoredTrial

EFFECTS = (0.02, 0.05, 0.10)
LEAST_TRIALS = 4
BLOCKS = 3  # of the default run
ANCHORS = 9  # of a block of the full design
POWER = 1.96 + 0.84  # standard errors that an effect must have to be found at 5 % in 80 % of cases

Document = dict[str, Any]


@dataclass(frozen=True)
class Resolution:
    """What a run can tell apart on a machine whose trials scatter by ``trial_sd`` (of log episodes/min)."""

    trial_sd: float
    trials: int

    @classmethod
    def from_speeds(cls, speeds: list[float]) -> Resolution:
        """From identical trials one after the other; a drift from trial to trial is not their scatter.

        Half the mean squared difference of neighbours (von Neumann et al., "The mean square successive difference",
        1941).
        """
        logs = [math.log(speed) for speed in speeds]
        return cls(math.sqrt(fmean((b - a) ** 2 for a, b in pairwise(logs)) / 2), len(speeds))

    def smallest_main_effect(self, layers: tuple[str, ...]) -> float:
        """As a ratio above 1: what a full design of these layers with 3 blocks finds in 80 % of cases."""
        trials = len(make_trials(RunSpec(layers, ("full",), BLOCKS, 0)))
        return math.exp(POWER * 2 * self.trial_sd / math.sqrt(trials))

    def blocks_for(self, effect: float) -> int:
        """Blocks after which one layer alone is told from the baseline, if it changes the speed by this share."""
        per_block = self.trial_sd**2 * (1 + 1 / ANCHORS)
        return max(2, math.ceil(POWER**2 * per_block / math.log1p(effect) ** 2))


def examine(workload: WorkloadSpec, layers: tuple[str, ...], seconds: float, console: Console) -> Document:
    """Run the baseline again and again for so long, and say what that shows.

    Raises UserError when it does not run.
    """
    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            with console.status("examining this machine and preparing the market"):
                description = describe(launcher, workload, work)
                prepare(launcher, workload, work)
                if description["device"]["fork_after_compiler_import"]:
                    launcher.preload_compiler(probe=False)
            with console.status(f"training the baseline again and again for {seconds:.0f} seconds"):
                trials = _repeat(launcher, workload, description["device"], work, seconds)
    resolution = Resolution.from_speeds([trial.result["episodes_per_min"] for trial in trials])
    machine, conditions = {**description["machine"], **description["device"]}, describe_conditions(trials)
    taking_part = [layer for layer in description["layers"] if layer["name"] in layers]
    checks = check_machine(machine, taking_part, conditions, resolution.trial_sd, Path.cwd())
    return {
        "checks": [asdict(check) for check in checks],
        "fit": all(check.state != "bad" for check in checks),
        "machine": machine,
        "trials": len(trials),
        "trial_sd": resolution.trial_sd,
        "smallest_main_effect": resolution.smallest_main_effect(layers),
        "blocks_for": {f"{effect:.0%}": resolution.blocks_for(effect) for effect in EFFECTS},
        "conditions": conditions,
    }


def _repeat(
    launcher: Launcher, workload: WorkloadSpec, device: Document, work: Path, seconds: float
) -> list[StoredTrial]:
    execute = trial_executor(launcher, RunSpec((), ("full",), 1, 0, workload, QUICK), device)
    trials: list[StoredTrial] = []
    begin = time.monotonic()
    while len(trials) < LEAST_TRIALS or time.monotonic() - begin < seconds:
        watch, started = Watch(), time.monotonic()
        spec = TrialSpec(f"doctor{len(trials)}", BASELINE, 1, 0)
        outcome = execute(spec, work / "doctor.log")
        if "failure" in outcome:
            raise UserError(f"the baseline does not run on this machine: {outcome['failure']}.")
        result = outcome["result"]
        conditions = watch.conditions(result["own_cpu_s"])
        trials.append(StoredTrial(spec, "", time.monotonic() - started, "ok", None, None, result, conditions))
    return trials


def show(found: Document, console: Console) -> None:
    """Print it in plain words, what is wrong first."""
    machine = found["machine"]
    marks = {"bad": "PROBLEM", "note": "note", "ok": "ok"}
    for check in found["checks"]:
        fix = f" {check['fix']}" if check["fix"] else ""
        console.print(f"{marks[check['state']]:<8} {check['name']:<12} {check['found']}.{fix}", markup=False,
                      highlight=False)  # fmt: skip
    facts = {
        "machine": f"{machine['chip']}, {machine['physical_cores']} cores, {machine['memory_mb'] / 1e3:.0f} GB",
        "system": machine["system"],
        "python, torch": f"{machine['python']}, {machine['torch']}",
    }
    lines = ["", *(f"{name:<14} {value}" for name, value in facts.items()), ""]
    lines += [
        f"{found['trials']} trials of the baseline scatter by {found['trial_sd']:.1%} (standard deviation).",
        f"m2bench ablate --all, with 3 blocks, finds main effects from {found['smallest_main_effect'] - 1:.1%} on.",
    ]
    for effect, blocks in found["blocks_for"].items():
        verdict = "yes" if blocks <= BLOCKS else f"with --blocks {blocks}"
        lines.append(f"Can it tell one layer alone from no effect, if that is {effect}? {verdict.capitalize()}.")
    lines += ["", *(f"Warning: {warning}." for warning in found["conditions"]["warnings"])]
    problems = sum(check["state"] == "bad" for check in found["checks"])
    lines.append(
        f"{problems} problem{'s' if problems > 1 else ''}: do not measure on this machine before "
        f"{'they are' if problems > 1 else 'it is'} put right."
        if problems
        else "This machine can be measured on."
    )
    for line in lines:
        console.print(line, markup=False, highlight=False)

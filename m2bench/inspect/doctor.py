"""The command ``doctor``: what this machine is, what disturbs measuring on it, and what it can tell apart."""

from __future__ import annotations

import math
import random
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from m2bench.findings.noise import describe_conditions, drift_in_words, measure_repeats
from m2bench.machine.checks import check_machine
from m2bench.plan.designs import make_trials
from m2bench.processes.client import Launcher
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Device
from m2bench.records.documents import to_json
from m2bench.records.errors import UserError
from m2bench.records.figure import Figure
from m2bench.records.results import Failure
from m2bench.records.spec import RunSpec, TrialSpec, WindowSpec, WorkloadSpec
from m2bench.records.trials import StoredTrial
from m2bench.records.wrong_device import refuse_wrong_device
from m2bench.run.describe import describe, prepare, show_remarks_on_data
from m2bench.run.threads import choose_threads
from m2bench.run.trials import trial_executor
from m2bench.statistics.distributions import chi_square_quantile, t_quantile
from m2bench.statistics.effects import Effects, Observation
from m2bench.statistics.estimate import Estimate

EFFECTS = (0.02, 0.05, 0.10)
LEAST_TRIALS = 4
BLOCKS = 3  # of the default run
WINDOW = WindowSpec()  # its windows too: shorter ones scatter more

Document = dict[str, Any]


@dataclass(frozen=True)
class DesignErrors:
    """Standard errors of effects, on the log scale, in standard deviations of one trial; those of the worst layer.

    ``standard_errors``: how many of them an effect must have to be found at 5 % in 80 % of runs.
    """

    main_effect: float
    shapley: float
    alone: float
    standard_errors: float

    @classmethod
    def of_full_design(cls, layers: tuple[str, ...]) -> DesignErrors:
        """Of every combination of the layers in BLOCKS blocks, fitted as a run's report fits them.

        They depend on the design alone, so any responses serve to ask for them.
        """
        trials = make_trials(RunSpec(layers, ("full",), BLOCKS, 0))
        any_response = random.Random(0)
        effects = Effects(
            layers, (Observation(x.key, x.layers, x.mini_blocks, any_response.uniform(1, 2)) for x in trials)
        )
        assert effects.scatter is not None
        sigma, degrees = effects.scatter.sd, effects.scatter.degrees

        def worst(estimates: list[Estimate | None]) -> float:
            return max(found.log_se or 0.0 for found in estimates if found is not None) / sigma

        return cls(
            worst([effects.main_effect(layer) for layer in layers]),
            worst([effects.shapley(layer)[0] for layer in layers]),
            worst([effects.ratio((layer,)) for layer in layers]),
            t_quantile(0.975, degrees) + t_quantile(0.8, degrees),
        )


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

    def interval(self) -> tuple[Resolution, Resolution]:
        """The 95 % interval of the scatter of a trial: its lower and its upper end.

        The estimate from n trials is taken to follow a chi-square distribution with 2 (n - 1)^2 / (3 n - 4) degrees of
        freedom, which has the variance that von Neumann et al. give for it.
        """
        degrees = 2 * (self.trials - 1) ** 2 / (3 * self.trials - 4)
        low, high = (self.trial_sd * math.sqrt(degrees / chi_square_quantile(end, degrees)) for end in (0.975, 0.025))
        return replace(self, trial_sd=low), replace(self, trial_sd=high)

    def smallest_main_effect(self, design: DesignErrors) -> float:
        """As a ratio above 1: what such a design finds in 80 % of runs."""
        return math.exp(design.standard_errors * design.main_effect * self.trial_sd)

    def smallest_shapley(self, design: DesignErrors) -> float:
        """The same of a Shapley value."""
        return math.exp(design.standard_errors * design.shapley * self.trial_sd)

    def blocks_for(self, effect: float, design: DesignErrors) -> int:
        """Blocks after which one layer alone is told from the baseline, if it changes the speed by this share.

        Errors shrink with the square root of the number of blocks.
        """
        needed = design.standard_errors * design.alone * self.trial_sd / math.log1p(effect)
        return max(2, math.ceil(BLOCKS * needed**2))


def examine(workload: WorkloadSpec, layers: tuple[str, ...], seconds: float, console: Console) -> Document:
    """Run the baseline again and again for so long, and say what that shows.

    Raises UserError when it does not run.
    """
    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            with console.status("examining this machine and preparing the data"):
                description = describe(launcher, workload, work)
                show_remarks_on_data(description, console)
                description = choose_threads(launcher, description, workload, layers, None, work)
                prepared = prepare(launcher, workload, work)
                refuse_wrong_device(description.device, prepared.device_faults or ())
                if description.device.fork_after_compiler_import:
                    launcher.preload_compiler(probe=False)
            with console.status(f"training the baseline again and again for {seconds:.0f} seconds"):
                trials = _repeat(launcher, workload, description.device, work, seconds)
    resolution = Resolution.from_speeds([trial.timed.episodes_per_min for trial in trials])
    drift = measure_repeats(trials).drift
    conditions = describe_conditions(trials)
    taking_part = [layer for layer in description.layers if layer.name in layers]
    checks = check_machine(description, taking_part, conditions, resolution.trial_sd, Path.cwd())
    return {
        "checks": [asdict(check) for check in checks],
        "fit": all(check.state != "bad" for check in checks),
        "machine": description.facts,
        "trials": len(trials),
        "window": asdict(WINDOW),
        **_resolved(resolution, DesignErrors.of_full_design(layers)),
        "drift": drift and drift.value,
        "drift_ci": drift and drift.interval,
        "conditions": to_json(conditions),
    }


def _resolved(resolution: Resolution, design: DesignErrors) -> Document:
    """What can be told apart, with the intervals that follow from how well so few trials tell their scatter."""
    ends = resolution.interval()
    return {
        "trial_sd": resolution.trial_sd,
        "trial_sd_ci": [end.trial_sd for end in ends],
        "smallest_main_effect": resolution.smallest_main_effect(design),
        "smallest_main_effect_ci": [end.smallest_main_effect(design) for end in ends],
        "smallest_shapley": resolution.smallest_shapley(design),
        "smallest_shapley_ci": [end.smallest_shapley(design) for end in ends],
        "blocks_for": {f"{effect:.0%}": resolution.blocks_for(effect, design) for effect in EFFECTS},
        "blocks_for_ci": {f"{effect:.0%}": [end.blocks_for(effect, design) for end in ends] for effect in EFFECTS},
    }


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
        *resolution_sentences(found),
        "",
        *(f"Warning: {warning}." for warning in found["conditions"]["warnings"]),
    ]
    problems = sum(check["state"] == "bad" for check in found["checks"])
    lines.append(
        f"{problems} problem{'s' if problems > 1 else ''}: do not measure on this machine before "
        f"{'they are' if problems > 1 else 'it is'} put right."
        if problems
        else "This machine can be measured on."
    )
    for line in lines:
        console.print(line, markup=False, highlight=False)


def resolution_sentences(found: Document) -> list[str]:
    """What a run can tell apart here, in words that go no further than the scatter is known."""
    return [
        f"{found['trials']} trials of the baseline, timed as long as a run's, scatter by "
        f"{_between(found['trial_sd'], found['trial_sd_ci'])} (standard deviation, and its 95 % interval). Over "
        f"these trials {drift_in_words(Figure(found['drift'], found['drift_ci']))}.",
        f"m2bench ablate --all, with {BLOCKS} blocks, finds main effects from "
        f"{_between(found['smallest_main_effect'], found['smallest_main_effect_ci'], 1)} on and Shapley values from "
        f"{_between(found['smallest_shapley'], found['smallest_shapley_ci'], 1)} on, in 80 % of runs.",
        *(
            f"Can it tell one layer alone from no effect, if that is {effect}? {_verdict(blocks, *between)}."
            for (effect, blocks), between in zip(
                found["blocks_for"].items(), found["blocks_for_ci"].values(), strict=True
            )
        ),
    ]


def _between(value: float, interval: list[float], none: int = 0) -> str:
    """A share with the ends of its interval; ``none`` is what stands for no effect."""
    low, high = (f"{end - none:.1%}" for end in interval)
    return f"{value - none:.1%} (between {low} and {high})"


def _verdict(blocks: int, least: int, most: int) -> str:
    """By the blocks that it takes: at the scatter that was found, and at the ends of its interval."""
    if most <= BLOCKS:
        return "Yes"
    if blocks <= BLOCKS:
        return f"Probably; where the scatter is as large as it may be, with --blocks {most}"
    return f"With --blocks {blocks} (between {least} and {most})"

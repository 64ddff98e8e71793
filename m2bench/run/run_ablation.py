"""The main job: plan, run, store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError, quoted
from m2bench.options.known_systems import DOORS
from m2bench.options.run_spec import RunSpec
from m2bench.plan.budget import Cost, fit_budget
from m2bench.plan.designs import block_trials, count_trials
from m2bench.plan.remaining import remaining_trials
from m2bench.processes.client import Launcher
from m2bench.processes.environment import users_environment
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.description import Description, LayerDescription, Prepared
from m2bench.records.factors_spec import Factors
from m2bench.records.refusals import refuse_unsupported, refuse_wrong_device
from m2bench.records.results import Failure, TrialResult
from m2bench.records.spec import TrialKind, TrialSpec
from m2bench.store.folders import locked, make_folder, refuse_used, removed_if_refused
from m2bench.store.results_database import Store
from m2bench.store.sources import unchanged
from m2bench.store.stored_trial import RunRecord, StoredTrial

from .describe import describe, prepare, refuse_other_rules, refuse_unknown_layers, show_remarks
from .progress import RunProgress
from .resuming import refuse_another, refuse_changed_imports
from .show_plan import in_words, show_limits
from .threads import choose_threads, threads_sentence
from .trials import run_trial, run_trials, trial_executor

FIRST_OF_FACTORS = 1.0
"""After how many units a way of learning is first looked at: some have arrived before the usual first time."""


def stored_spec(folder: Path) -> RunSpec:
    """What the run in ``folder`` was asked to do; UserError when there is no run."""
    with Store.open(folder) as store:
        return store.record().spec


@dataclass(frozen=True)
class Ready:
    """What is known before the first trial, and the run as it is to be carried out on this machine."""

    spec: RunSpec
    description: Description
    prepared: Prepared

    @property
    def taking_part(self) -> list[LayerDescription]:
        """The layers that take part."""
        return [layer for layer in self.description.layers if layer.name in self.spec.layers]


def run_ablation(
    spec: RunSpec, folder: Path, resuming: bool, budget_s: float | None, wait_s: float, console: Console
) -> None:
    """Run what is missing of the run in ``folder`` and store it.

    While other processes keep the machine busy, it waits for up to ``wait_s`` seconds in all.
    With a budget the design and the blocks of ``spec`` are chosen anew, by what two trials take on this machine.

    Raises UserError for what the user can put right; an interruption leaves every finished trial stored.
    """
    if not resuming:
        refuse_used(
            folder,
            f"Continue a run with: m2bench ablate --resume {quoted(folder)}, or choose another folder with --out.",
        )
    work, logs, begin = folder / "work", folder / "logs", time.monotonic()
    with ExitStack() as stack:
        with nullcontext() if resuming else removed_if_refused(folder):
            for name in (work, logs):
                make_folder(name)
            stack.enter_context(locked(folder, work / "lock"))
            launcher = stack.enter_context(Launcher(work, logs / "launcher.log", users_environment(spec.workload)))
            ready = get_ready(launcher, spec, resuming, logs, console)
            if budget_s is not None:
                ready = _fit_budget(launcher, ready, begin + budget_s, logs, console)
            if spec.factors is None:
                show_limits(ready.spec, console)
            if ready.description.workload.own_program:
                sentence = _first_run_sentence(ready.prepared, count_trials(ready.spec))
                console.print(sentence)
            first = None if resuming else _first_of_a_users_trainer(launcher, ready, folder, console)
        with opened_store(ready.spec, folder, resuming, ready.description, ready.prepared) as store:
            if first is not None:
                store.add(first)
            _run_missing(launcher, ready, store, wait_s, console)
    shutil.rmtree(work, ignore_errors=True)


def get_ready(launcher: Launcher, spec: RunSpec, resuming: bool, logs: Path, console: Console) -> Ready:
    """Examine the machine, choose the threads of a new run, prepare the data and the compiler.

    Raises UserError where the layers are not those of the system, or the device computes wrongly.
    """
    launcher.threads = spec.threads  # of a run that is continued: what it chose
    with console.status("examining this machine and preparing the data"):
        description = describe(launcher, spec.workload, logs)
    refuse_unknown_layers(spec.layers, description)
    refuse_other_rules(spec, description)
    show_remarks(description, console)
    is_program = description.workload.own_program
    if not resuming and not is_program:
        with console.status("measuring which number of threads is fastest"):
            description = choose_threads(launcher, description, spec.workload, spec.layers, spec.threads, logs)
        spec = replace(spec, threads=description.device.torch_threads)
        console.print(threads_sentence(description.device))
    if spec.factors is not None:
        description = _described_with(spec.factors, launcher, spec, description, logs)
    prepared = _prepare(launcher, spec, is_program, logs, console)
    if is_program:
        description = without_its_outputs(description, Path(spec.workload.folder))
    if not spec.allow_wrong_device:
        refuse_wrong_device(description.device, prepared.device_faults or (), may_go_on=True)
    ready = Ready(spec, description, prepared)
    if description.device.fork_after_compiler_import and not is_program:
        compiling = any(layer.compiles and not layer.unsupported for layer in ready.taking_part)
        launcher.preload_compiler(probe=compiling)
    return ready


def _described_with(
    factors: Factors, launcher: Launcher, spec: RunSpec, description: Description, logs: Path
) -> Description:
    """The description, with what is trained without any factor and with all of them.

    Raises UserError where there is no target to reach, or the system or a layer cannot be with all factors.
    """
    if description.workload.target is None:
        raise UserError(f"nothing can be learned soonest: {description.system.no_target_because}.", "Use other data.")
    options = {**spec.workload.options, **factors.options_of(factors.names)}
    with_all = describe(launcher, replace(spec.workload, options=options), logs)
    _refuse_layers(spec.layers, with_all)
    pairs = {name: (value, with_all.system.facts[name]) for name, value in description.system.facts.items()}
    facts = {name: plain if plain == full else f"{plain} or {full}" for name, (plain, full) in pairs.items()}
    return replace(description, system=replace(description.system, facts=facts))


def _refuse_layers(layers: Layers, with_all: Description) -> None:
    """Raise UserError for one of the layers that cannot run with all factors, or compiles in seconds that count."""
    advice = "Leave it out of --with or --layers."
    refuse_unsupported(layers, with_all, advice)
    compiling = [layer.name for layer in with_all.layers if layer.name in layers and layer.compiles]
    if compiling:
        raise UserError(
            f"the layer {compiling[0]} compiles while it trains, in a first trial longer than in later ones, and "
            "--factors judges by the seconds of training.",
            advice,
        )


def _prepare(launcher: Launcher, spec: RunSpec, is_program: bool, logs: Path, console: Console) -> Prepared:
    """Prepare what all trials need; a program is run once for that."""
    if is_program:
        with console.status("running the command once"):
            return prepare(launcher, spec.workload, logs, spec.trial_timeout_s)
    with console.status("preparing the numerics checks: the plain trainer in double precision"):
        return prepare(launcher, spec.workload, logs)


def without_its_outputs(description: Description, folder: Path) -> Description:
    """The description without those of a command's files that its first run has changed: it writes to them."""
    sources = unchanged(description.workload.sources, folder)
    return replace(description, workload=description.workload.with_facts({"sources": sources}))


def _first_run_sentence(prepared: Prepared, trials: int) -> str:
    """What the plain program told before all trials, and how long they will take."""
    told = ", ".join(f"{name} {value:,.4g}" for name, value in prepared.metrics.items())
    minutes = prepared.prepare_s * trials / 60
    return (
        f"The command runs: {told} in a first run without any layer, which is not counted. {trials} trials take about "
        f"{in_words(minutes)} where none takes longer."
    )


def _fit_budget(launcher: Launcher, ready: Ready, end: float, logs: Path, console: Console) -> Ready:
    """With the best design and blocks that are done by ``end``, on the clock of ``time.monotonic``."""
    with console.status("measuring what a trial takes"):
        if ready.description.workload.own_program:
            cost = Cost(ready.prepared.prepare_s, 0.0)
        else:
            cost = _measure_cost(launcher, ready, logs)
        spec, choice = fit_budget(ready.spec, end - time.monotonic(), cost)
    console.print(choice)
    return replace(ready, spec=spec)


def _measure_cost(launcher: Launcher, ready: Ready, logs: Path) -> Cost:
    """What trials take here, from the baseline's and from that of all layers that can run, each once.

    What the second one takes to compile stands for everything that a run compiles for the first time.
    """
    spec = ready.spec
    execute = trial_executor(launcher, spec, ready.description.device)
    runnable = spec.rules.fullest(tuple(layer.name for layer in ready.taking_part if not layer.unsupported))
    elapsed_s, compile_s = [], 0.0
    for layers in (BASELINE, runnable):
        begin = time.monotonic()
        found = execute(TrialSpec("budget", layers, 1, spec.seed), logs / "budget.log").result
        if isinstance(found, Failure):
            raise UserError(
                f"a trial of {combination_name(layers)} failed, so its time is not known: {found.text}.",
                f"The log is {logs / 'budget.log'}.",
            )
        assert isinstance(found, TrialResult)
        compile_s += found.compile_s or 0.0
        elapsed_s.append(time.monotonic() - begin)
    apart = sum(layer.compiled_apart and layer.name in runnable for layer in ready.taking_part)
    return Cost(trial_s=max(0.0, sum(elapsed_s) - compile_s) / 2, once_s=2**apart * compile_s)


def _first_of_a_users_trainer(launcher: Launcher, ready: Ready, folder: Path, console: Console) -> StoredTrial | None:
    """The first trial, of a trainer of the user's own without any layer; None of another system.

    What fails there fails in every trial: raises UserError, before there is a run.
    """
    if ready.spec.workload.module not in DOORS:
        return None
    execute = trial_executor(launcher, ready.spec, ready.description.device)
    with console.status("running the first trial"):
        first = run_trial(block_trials(ready.spec, 1)[0], folder, execute)
    if first.status == "failed":
        raise UserError(f"without any layer {first.reason}.", "Mend that first: nothing was measured.")
    return first


def _run_missing(launcher: Launcher, ready: Ready, store: Store, wait_s: float, console: Console) -> None:
    """Run and store the trials that the store does not have yet."""
    spec, description = ready.spec, ready.description
    target = description.workload.target
    if spec.factors is not None and target is not None:
        target = replace(target, first_units=FIRST_OF_FACTORS, each_policy_once=True)
    unsupported = {layer.name: layer.unsupported for layer in ready.taking_part if layer.unsupported}
    execute = trial_executor(launcher, spec, description.device, target)
    kind: TrialKind = "speed" if spec.factors is None else "learning"
    with RunProgress(console, count_trials(spec), store.attempts(), wait_s, kind) as progress:
        remaining = remaining_trials(spec, description, store.attempts, progress.quiet.is_quiet)
        run_trials(remaining, unsupported, store, execute, progress.begins, progress.ended)


@contextmanager
def opened_store(
    spec: RunSpec, folder: Path, resuming: bool, description: Description, prepared: Prepared
) -> Iterator[Store]:
    """The store of a new run, or of the one that is continued. Raises UserError where that one was of another thing."""
    if not resuming:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        with Store.create(folder, RunRecord(spec, started, description, prepared)) as store:
            yield store
        return
    with Store.open(folder) as store:
        refuse_another(folder, store.record().description, description)
        refuse_changed_imports(folder, store.attempts(), Path(spec.workload.folder))
        store.replan(spec)  # it may have been given more blocks
        yield store

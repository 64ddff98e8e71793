"""The main job: plan, run, store, report."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from m2bench.plan.budget import Cost, fit, rough_cost
from m2bench.plan.designs import block_trials, combinations_of, count_trials, fraction_sentence
from m2bench.plan.learners import BUDGET_SHARE
from m2bench.plan.remaining import remaining_trials
from m2bench.processes.client import Launcher
from m2bench.processes.environment import users_environment
from m2bench.records.combinations import BASELINE, combination_name
from m2bench.records.declared_options import PROGRAMS
from m2bench.records.description import Description, Device, LayerDescription, Prepared
from m2bench.records.errors import UserError, quoted
from m2bench.records.folders import locked, make_folder, refuse_used, removed_if_refused
from m2bench.records.results import Failure, TrialResult
from m2bench.records.spec import RunSpec, TrialSpec
from m2bench.records.trials import RunRecord
from m2bench.records.wrong_device import refuse_wrong_device

from .describe import describe, prepare, refuse_other_rules, refuse_unknown_layers, show_remarks
from .progress import RunProgress
from .store import Store
from .threads import choose_threads, threads_sentence
from .trials import run_trials, trial_executor

SHOWN_BLOCKS, SHOWN_TRIALS = 3, 216  # of a plan, at most; the first block is shown whole

# Facts that must be the same when a run is continued: results of two machines or two torches do not mix.
SAME_ON_RESUME = (
    ("machine", "chip"),
    ("machine", "logical_cores"),
    ("machine", "python"),
    ("device", "device"),
    ("device", "torch"),
    ("device", "torch_threads"),
    ("device", "thread_waiting"),
    ("workload", "market"),
)


def stored_spec(folder: Path) -> RunSpec:
    """What the run in ``folder`` was asked to do; UserError when there is no run."""
    with Store.open(folder) as store:
        return store.record().spec


def show_plan(spec: RunSpec, compiles: bool, begun: Path | None, budget_s: float | None, console: Console) -> None:
    """Print what a run would do, and roughly how long it would take; a budget is filled by the same rough guess.

    ``compiles``: whether a layer taking part does.
    """
    cost = rough_cost(spec, compiles)
    if budget_s is not None:
        if spec.workload.module in PROGRAMS:
            raise UserError(
                "--budget is filled by what the command takes, which --dry-run does not run.", "Leave one of them out."
            )
        spec, choice = fit(spec, budget_s, cost)
        console.print(choice, markup=False, highlight=False)
    combinations = combinations_of(spec)
    done: set[str] = set()
    if begun is not None:
        with Store.open(begun) as store:
            done = {t.spec.repeats or t.spec.key for t in store.trials() if t.spec.kind == "speed"}
    planned = count_trials(spec)
    console.print(f"Layers: {', '.join(spec.layers)}; design: {', '.join(spec.design)}", highlight=False)
    _show_fraction(spec, console)
    console.print(
        f"{len(combinations)} combinations x {spec.blocks} blocks, the baseline first and last in each: "
        f"{planned} trials, {len(done)} done, {planned - len(done)} to run",
        highlight=False,
    )
    _show_blocks(spec, done, console)
    if spec.workload.module in PROGRAMS:
        console.print(f"As long as {planned - len(done) + 1} runs of the command; nothing was run.", highlight=False)
        return
    minutes = cost.of(replace(spec, learning="off")) * (1 - len(done) / planned) / 60
    learning = {
        "off": "",
        "quick": f", and at most {BUDGET_SHARE / (1 - BUDGET_SHARE):.0%} more for the learning trials",
        "full": f", and learning trials of {len(combinations)} combinations x {spec.blocks} seeds",
    }[spec.learning]
    console.print(f"Roughly {_in_words(minutes)} on two cores{learning}; nothing was run.", highlight=False)


def _show_fraction(spec: RunSpec, console: Console) -> None:
    sentence = fraction_sentence(spec)
    if sentence is not None:
        console.print(sentence, markup=False, highlight=False)


def _show_blocks(spec: RunSpec, done: set[str], console: Console) -> None:
    """Print the trials of the first blocks that are not done, and how many more blocks there are."""
    shown, shown_trials = 0, 0
    for block in range(1, spec.blocks + 1):
        to_run = [trial for trial in block_trials(spec, block) if trial.key not in done]
        if to_run and shown and (shown == SHOWN_BLOCKS or shown_trials + len(to_run) > SHOWN_TRIALS):
            left = spec.blocks - block + 1
            console.print(
                f"And {left:,} more blocks of these combinations, each in an order of its own.", highlight=False
            )
            return
        if to_run:
            shown, shown_trials = shown + 1, shown_trials + len(to_run)
            console.print(f"Block {block}:", highlight=False)
        for trial in to_run:
            console.print(f"  {combination_name(trial.layers)}", highlight=False)


def _in_words(minutes: float) -> str:
    """A rough time in a unit that suits it."""
    if minutes < 2:
        return f"{60 * minutes:.0f} seconds"
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 60 / 24:,.0f} days"


def run(spec: RunSpec, folder: Path, resuming: bool, budget_s: float | None, wait_s: float, console: Console) -> None:
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
    work, begin = folder / "work", time.monotonic()
    with ExitStack() as stack:
        with nullcontext() if resuming else removed_if_refused(folder):
            for name in (work, folder / "logs"):
                make_folder(name)
            stack.enter_context(locked(folder, work / "lock"))
            launcher = stack.enter_context(
                Launcher(work, folder / "logs" / "launcher.log", users_environment(spec.workload))
            )
            launcher.threads = spec.threads  # of a run that is continued: what it chose
            with console.status("examining this machine and preparing the data"):
                description = describe(launcher, spec.workload, folder / "logs")
            refuse_unknown_layers(spec.layers, description)
            refuse_other_rules(spec, description)
            show_remarks(description, console)
            is_program = description.workload.own_program
            if not resuming and not is_program:
                with console.status("measuring with how many threads this machine is fastest"):
                    description = choose_threads(
                        launcher, description, spec.workload, spec.layers, spec.threads, folder / "logs"
                    )
                spec = replace(spec, threads=description.device.torch_threads)
                console.print(threads_sentence(description.device), markup=False, highlight=False)
            prepared = _prepare(launcher, spec, is_program, folder / "logs", console)
            if not spec.allow_wrong_device:
                refuse_wrong_device(description.device, prepared.device_faults or (), may_go_on=True)
            taking_part = [layer for layer in description.layers if layer.name in spec.layers]
            compiling = any(layer.compiles and not layer.unsupported for layer in taking_part)
            if description.device.fork_after_compiler_import and not is_program:
                launcher.preload_compiler(probe=compiling)
            if budget_s is not None:
                with console.status("measuring what a trial takes"):
                    cost = Cost(prepared.prepare_s, 0.0)
                    if not is_program:
                        cost = _measure_cost(launcher, spec, description.device, taking_part, folder / "logs")
                    spec, choice = fit(spec, budget_s - (time.monotonic() - begin), cost)
                console.print(choice, markup=False, highlight=False)
            _show_fraction(spec, console)
            if is_program:
                console.print(_first_run_sentence(prepared, count_trials(spec)), markup=False, highlight=False)
        with _open_store(spec, folder, resuming, description, prepared) as store:
            unsupported = {layer.name: layer.unsupported for layer in taking_part if layer.unsupported}
            execute = trial_executor(launcher, spec, description.device, description.workload.target)
            with RunProgress(console, count_trials(spec), store.attempts(), wait_s) as progress:
                remaining = remaining_trials(spec, description, store.attempts, progress.quiet.is_quiet)
                run_trials(remaining, unsupported, store, execute, progress.begins, progress.ended)
    shutil.rmtree(work, ignore_errors=True)


def _prepare(launcher: Launcher, spec: RunSpec, is_program: bool, logs: Path, console: Console) -> Prepared:
    """Prepare what all trials need; a program is run once for that."""
    if is_program:
        with console.status("running the command once"):
            return prepare(launcher, spec.workload, logs, spec.trial_timeout_s)
    with console.status("asking the plain trainer in double precision, for the numerics checks"):
        return prepare(launcher, spec.workload, logs)


def _first_run_sentence(prepared: Prepared, trials: int) -> str:
    """What the plain program told before all trials, and how long they will take."""
    told = ", ".join(f"{name} {value:,.4g}" for name, value in prepared.metrics.items())
    minutes = prepared.prepare_s * trials / 60
    return (
        f"The command runs: {told} in a first run without any layer, which is not counted. {trials} trials take about "
        f"{_in_words(minutes)} where none takes longer."
    )


def _measure_cost(
    launcher: Launcher, spec: RunSpec, device: Device, taking_part: list[LayerDescription], logs: Path
) -> Cost:
    """What trials take here, from the baseline's and from that of all layers that can run, each once.

    What the second one takes to compile stands for everything that a run compiles for the first time.
    """
    execute = trial_executor(launcher, spec, device)
    runnable = spec.rules.fullest(tuple(layer.name for layer in taking_part if not layer.unsupported))
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
    apart = sum(layer.compiled_apart and layer.name in runnable for layer in taking_part)
    return Cost(trial_s=max(0.0, sum(elapsed_s) - compile_s) / 2, once_s=2**apart * compile_s)


def _open_store(spec: RunSpec, folder: Path, resuming: bool, description: Description, prepared: Prepared) -> Store:
    if not resuming:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return Store.create(folder, RunRecord(spec, started, description, prepared))
    store = Store.open(folder)
    before = store.record().description
    for group, fact in SAME_ON_RESUME:
        was, now = (getattr(found, group).facts.get(fact) for found in (before, description))
        if was != now:
            store.__exit__()
            raise UserError(
                f"{folder} was begun with {group} {fact} {was}, and now it is {now}.",
                "Trials of both would not be comparable: begin a new run.",
            )
    store.replan(spec)  # it may have been given more blocks
    return store

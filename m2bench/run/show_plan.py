"""What a run would do, for ``--dry-run``, and how such plans are put in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError
from m2bench.options.known_systems import PROGRAMS, known_system
from m2bench.options.run_spec import RunSpec
from m2bench.plan.budget import fit_budget, rough_cost
from m2bench.plan.designs import block_trials, combinations_of, count_trials, fraction_sentence, interval_sentence
from m2bench.plan.learners import BUDGET_SHARE
from m2bench.records.combinations import combination_name
from m2bench.store.results_database import Store

SHOWN_BLOCKS, SHOWN_TRIALS = 3, 216  # of a plan, at most; the first block is shown whole


def show_plan(spec: RunSpec, begun: Path | None, budget_s: float | None, console: Console) -> None:
    """Print what a run would do, and roughly how long it would take; a budget is filled by the same rough guess."""
    compiling = known_system(spec.workload.module).layers.compiling
    cost = rough_cost(spec, compiles=not {*compiling}.isdisjoint(spec.layers))
    if budget_s is not None:
        if spec.workload.module in PROGRAMS:
            raise UserError(
                "--budget needs to know how long the command takes, and --dry-run does not run it.",
                "Leave one of them out.",
            )
        spec, choice = fit_budget(spec, budget_s, cost)
        console.print(choice)
    combinations = combinations_of(spec)
    done: set[str] = set()
    if begun is not None:
        with Store.open(begun) as store:
            done = {t.spec.planned_key for t in store.trials() if t.spec.kind == "speed"}
    planned = count_trials(spec)
    console.print(f"Layers: {', '.join(spec.layers)}; design: {', '.join(spec.design)}")
    show_limits(spec, console)
    blocks = f"{spec.blocks} block{'s' * (spec.blocks > 1)}"
    console.print(
        f"{len(combinations)} combinations x {blocks}, the baseline first and last in each: {planned} trials, "
        f"{len(done)} done, {planned - len(done)} to run",
    )
    _show_blocks(spec, done, console)
    if spec.workload.module in PROGRAMS:
        console.print(f"It takes as long as {planned - len(done) + 1} runs of the command; nothing was run.")
        return
    minutes = cost.of(replace(spec, learning="off")) * (1 - len(done) / planned) / 60
    learning = {
        "off": "",
        "quick": f", and at most {BUDGET_SHARE / (1 - BUDGET_SHARE):.0%} more for the learning trials",
        "full": f", and learning trials of {len(combinations)} combinations x {spec.blocks} seeds",
    }[spec.learning]
    console.print(f"Roughly {in_words(minutes)} on two cores{learning}; nothing was run.")


def show_limits(spec: RunSpec, console: Console) -> None:
    """Print what the design cannot tell."""
    for sentence in filter(None, (fraction_sentence(spec), interval_sentence(spec))):
        console.print(sentence)


def _show_blocks(spec: RunSpec, done: set[str], console: Console) -> None:
    """Print the trials of the first blocks that are not done, and how many more blocks there are."""
    shown, shown_trials = 0, 0
    for block in range(1, spec.blocks + 1):
        to_run = [trial for trial in block_trials(spec, block) if trial.key not in done]
        if to_run and shown and (shown == SHOWN_BLOCKS or shown_trials + len(to_run) > SHOWN_TRIALS):
            left = spec.blocks - block + 1
            console.print(f"And {left:,} more blocks of these combinations, each in an order of its own.")
            return
        if to_run:
            shown, shown_trials = shown + 1, shown_trials + len(to_run)
            console.print(f"Block {block}:")
        for trial in to_run:
            console.print(f"  {combination_name(trial.layers)}")


def in_words(minutes: float) -> str:
    """A rough time in a unit that suits it."""
    if minutes < 2:
        return f"{60 * minutes:.0f} seconds"
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 60 / 24:,.0f} days"

"""The command ``ablate``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError
from m2bench.options.known_systems import known_system
from m2bench.options.option import at_least, option
from m2bench.options.run_options import DEFAULT_BLOCKS, DEFAULT_DESIGN, RunOptions
from m2bench.options.run_spec import RunSpec
from m2bench.options.workload_options import check_options
from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Factor, Factors
from m2bench.records.spec import QUICK, WindowSpec

from .command import AskedSystem, Given, command
from .console import interruptible, make_console
from .report import report_run
from .resuming import Resumable, advice_on_resuming, continued, refuse_more_blocks
from .shared_options import (
    Seeded,
    TakingPart,
    combination_of,
    known_layers,
    layers_named,
    layers_taking_part,
    new_folder,
    read_duration,
    read_layers,
    read_names,
    results_option,
)

DEFAULT_SEEDS = 8
"""Of a run of ``--factors``."""
NOT_WITH_FACTORS = ("all_combinations", "design", "budget_s", "quick", "scheduler", "hosts", "dry_run", "learning")


def _read_design(flag: str, typed: str) -> tuple[str, ...]:
    from m2bench.plan.designs import DESIGNS

    return read_names(typed, tuple(DESIGNS), "design")


def _read_hosts(flag: str, typed: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in typed.split(",") if name.strip())
    if not names or len({*names}) < len(names):
        raise UserError(f"{flag} names {'a host twice' if names else 'no host'}.", "Name each machine once.")
    return names


def _refuse_sweep(flag: str, typed: str) -> None:
    raise UserError(f"{flag} has become a command.", f"Use: m2bench scale --num-envs {typed}")


@dataclass(frozen=True, kw_only=True)
class Ablate(RunOptions, TakingPart, Seeded, Resumable):
    """What ``ablate`` is asked for."""

    all_combinations: bool = option(
        False,
        "Every combination (--design full); of more than 128, each layer alone, each left out, and a fraction.",
        spelled="--all",
    )
    design: tuple[str, ...] | None = option(
        None,
        "Combinations to measure, comma-separated: single, leave-one-out, stack, quarter, half, fraction, full.",
        metavar="<names>",
        read=_read_design,
        shown=",".join(DEFAULT_DESIGN),
    )
    blocks: int | None = option(
        None,
        "How many times each combination is measured.",
        read=at_least(1),
        shown=f"{DEFAULT_BLOCKS}, or more where intervals need them; with --quick the fewest that give intervals",
    )
    budget_s: float | None = option(
        None,
        "Time for the whole run, such as 90s, 10m or 1.5h; the best design and number of blocks that fit are chosen.",
        spelled="--budget",
        metavar="<time>",
        read=read_duration,
    )
    quick: bool = option(False, "Fewer and shorter trials: a first look, with wider intervals.")
    sweep: None = option(None, "Has become a command: m2bench scale.", kind=str, hidden=True, read=_refuse_sweep)
    factors: str | None = option(
        None,
        "Cross ways of learning by the time to the learning target: names of factors, comma-separated, or of a set of "
        "them: learning. --layers names layers to cross with them. A block is one seed.",
        metavar="<names>",
    )
    with_layers: Layers = option(
        (), "Layers that are on in every trial of --factors.", spelled="--with", metavar="<names>", read=read_layers
    )
    scheduler: str | None = option(
        None,
        "Run on the machines of a Dask scheduler, as tcp://HOST:8786; blocks are shared out among those of one kind.",
        kind=str,
        metavar="<address>",
        with_resume=True,
        asks=False,
    )
    hosts: tuple[str, ...] | None = option(
        None,
        "Run on these machines, comma-separated, as SSH knows them: Dask is started on each, and ended.",
        metavar="<names>",
        read=_read_hosts,
        with_resume=True,
        asks=False,
    )
    skip_unreachable: bool = option(
        False, "Go on with the other --hosts where some cannot be reached.", with_resume=True, asks=False
    )
    remote_python: str | None = option(
        None,
        "Python of the --hosts, with m2bench[fleet].",
        kind=str,
        metavar="<path>",
        shown="the same path as here",
        with_resume=True,
        asks=False,
    )
    out: Path | None = results_option()
    dry_run: bool = option(False, "Print the plan and an estimate of the time; run nothing.", with_resume=True)

    @property
    def elsewhere(self) -> str | None:
        """The option that names other machines, None where the run is on this one."""
        return "--scheduler" if self.scheduler is not None else "--hosts" if self.hosts is not None else None


@command("ablate")
def ablate(asked: Ablate, system: AskedSystem, given: Given) -> None:
    """Train with and without each layer, alone and combined, and report what each layer is worth."""
    from m2bench.run import run_ablation
    from m2bench.run.show_plan import show_plan

    _refuse_unused(asked)
    if asked.resume is not None:
        _refuse_other_place(asked.resume, asked.elsewhere)
        spec, folder = continued("ablate", asked.resume, asked.more_blocks, given), asked.resume
    else:
        spec, folder = _begun(asked, system, given), asked.out or new_folder()
    console = make_console()
    if asked.dry_run:
        show_plan(spec, asked.resume, asked.budget_s, console)
        return

    resuming, wait_s = asked.resume is not None, asked.wait_for_quiet_s or 0.0
    with interruptible(lambda: advice_on_resuming("ablate", folder, _words_again(asked))):
        if asked.elsewhere is None:
            run_ablation.run_ablation(spec, folder, resuming, asked.budget_s, wait_s, console)
        else:
            from m2bench.fleet.parent import run_fleet

            run_fleet(spec, folder, resuming, _scheduler(asked, console), wait_s, console)
        report_run(folder, console)


def _scheduler(asked: Ablate, console: Console) -> AbstractContextManager[str]:
    """The address of Dask's scheduler, which is there or is started on the first host."""
    from m2bench.fleet.hosts import Hosts

    if asked.scheduler is not None:
        return nullcontext(asked.scheduler)
    return Hosts(asked.hosts or (), asked.remote_python, asked.skip_unreachable).started(console)


def _words_again(asked: Ablate) -> str:
    """Where the machines are, to be typed when the run is resumed."""
    words = {
        "--scheduler": asked.scheduler,
        "--hosts": ",".join(asked.hosts or ()),
        "--remote-python": asked.remote_python,
    }
    told = "".join(f" {flag} {shlex.quote(value)}" for flag, value in words.items() if value)
    return f"{told} --skip-unreachable" if asked.skip_unreachable else told


def _begun(asked: Ablate, system: AskedSystem, given: Given) -> RunSpec:
    """What a new run does; UserError for options that contradict each other."""
    from m2bench.plan.designs import combinations_of, design_of_all, fewest_blocks

    _refuse_contradictions(asked, given)
    if asked.factors is not None:
        return _crossed(asked, system, asked.factors)
    found = layers_taking_part(system.workload, asked.layers)
    spec = RunSpec(
        layers=found.names,
        rules=found.rules,
        design=design_of_all(found.names, found.rules) if asked.all_combinations else asked.design or DEFAULT_DESIGN,
        blocks=asked.blocks or DEFAULT_BLOCKS,
        seed=asked.seed,
        workload=system.with_layers(found.names),
        window=QUICK if asked.quick else WindowSpec(),
        mini_blocks_apart=asked.elsewhere is not None,
        **{one.name: getattr(asked, one.name) for one in fields(RunOptions)},
    )
    combinations_of(spec)  # refuses a design that these layers do not have
    if asked.blocks is not None:
        return spec
    least = fewest_blocks(spec)
    return replace(spec, blocks=least if asked.quick else max(DEFAULT_BLOCKS, least))


def _crossed(asked: Ablate, system: AskedSystem, typed: str) -> RunSpec:
    """What a new run of ``--factors`` does; UserError for what has no effect on it."""
    from m2bench.plan.taking_part import refuse_impossible

    known = known_layers(system.workload, (*asked.with_layers, *(asked.layers or ())))
    crossed = () if asked.layers is None else layers_named(known, known.named(asked.layers))
    factors = Factors(
        _factors_named(typed, known_system(system.workload.module).factors),
        combination_of(known, asked.with_layers),
        crossed=crossed,
    )
    varied = [option for option in factors.options_of(()) if option in system.workload.options]
    if varied:
        raise UserError(f"--factors {typed} itself varies {varied[0].replace('_', '-')}.", f"Leave --{varied[0]} out.")
    twice = [layer for layer in crossed if layer in factors.layers]
    if twice:
        raise UserError(
            f"{twice[0]} cannot be on in every trial, as --with says, and crossed, as --layers says.",
            "Name it in one of them.",
        )
    layers = factors.layers_of(crossed, known.names)
    workload = system.with_layers(layers)
    each_way = [{**workload.options, **factors.options_of(way)} for way in factors.ways]
    for stack in factors.stacks:
        on = factors.layers_of(stack, known.names)
        refuse_impossible(on, known.rules)
        check_options([replace(workload, options=options) for options in each_way], on)
    return RunSpec(
        layers=layers,
        design=(),
        blocks=asked.blocks or DEFAULT_SEEDS,
        seed=asked.seed,
        workload=workload,
        factors=factors,
        **{one.name: getattr(asked, one.name) for one in fields(RunOptions)},
    )


def _factors_named(typed: str, sets: Mapping[str, tuple[Factor, ...]]) -> tuple[Factor, ...]:
    """The factors of these names, or of the sets of these names, in their own order. Raises UserError."""
    factors = {factor.name: factor for each in sets.values() for factor in each}
    if not factors:
        raise UserError("--factors is for the system that comes along.", "Leave it out.")
    chosen = read_names(typed, (*sets, *factors), "factor")
    named = {*chosen, *(factor.name for name in chosen for factor in sets.get(name, ()))}
    return tuple(factor for name, factor in factors.items() if name in named)


def _refuse_unused(asked: Ablate) -> None:
    """Raise UserError for options on machines that contradict each other or have no effect."""
    if asked.scheduler is not None and asked.hosts is not None:
        raise UserError(
            "--scheduler and --hosts contradict each other: a scheduler has its own machines.", "Give one of them."
        )
    if asked.elsewhere is not None and asked.resume is not None and asked.dry_run:
        raise UserError(
            "--dry-run does not tell what is left of a run on several machines.", "Leave --dry-run or --resume out."
        )
    unused = {"--skip-unreachable": asked.skip_unreachable, "--remote-python": asked.remote_python is not None}
    named = [flag for flag, is_given in unused.items() if is_given]
    if named and asked.hosts is None:
        raise UserError(f"{named[0]} has no effect without --hosts.", "Name the machines with --hosts.")


def _refuse_other_place(folder: Path, elsewhere: str | None) -> None:
    """Raise UserError where a run on this machine is to go on elsewhere, or the other way round."""
    from m2bench.store.fleet import is_fleet
    from m2bench.store.results_database import FILE_NAME

    if is_fleet(folder.parent) and (folder / FILE_NAME).exists():
        raise UserError(
            f"{folder} is a part of a run on several machines.", f"Continue that: --resume {folder.parent}."
        )
    if is_fleet(folder) and elsewhere is None:
        raise UserError(f"{folder} is a run on several machines.", "Say with --scheduler or --hosts where they are.")
    if elsewhere is not None and (folder / FILE_NAME).exists():
        raise UserError(f"{folder} is a run on one machine.", f"Continue it there, without {elsewhere}.")


def _refuse_contradictions(asked: Ablate, given: Given) -> None:
    if asked.with_layers and asked.factors is None:
        raise UserError("--with is for --factors.", "Name the layers that take part with --layers.")
    if asked.factors is not None:
        _refuse_beside_factors(given)
    if asked.elsewhere is not None and asked.budget_s is not None:
        raise UserError(
            f"--budget is filled by what trials take on one machine, and cannot take {asked.elsewhere}.",
            "Choose a --design and --blocks.",
        )
    refuse_more_blocks(asked)
    if asked.all_combinations and asked.design is not None:
        raise UserError("--all and --design contradict each other: --all is --design full.", "Give one of them.")
    chosen = given.flags_of(("all_combinations", "design", "blocks"))
    if asked.budget_s is not None and chosen:
        raise UserError(
            f"--budget chooses the design and the blocks, and cannot take {', '.join(chosen)}.", "Leave one out."
        )


def _refuse_beside_factors(given: Given) -> None:
    named = given.flags_of(NOT_WITH_FACTORS)
    if named:
        raise UserError(
            f"{named[0]} has no effect beside --factors, which trains every combination of its factors.",
            "Leave it out; --with names layers that are on in every trial, --layers those that are crossed.",
        )

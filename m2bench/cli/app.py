"""The command line. Options become one specification here; nothing behind it sees raw arguments."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

from m2bench import __version__
from m2bench.optimizations import LAYERS
from m2bench.records.combinations import Layers
from m2bench.records.errors import UserError, quoted
from m2bench.records.spec import QUICK, SWEPT_LAYER, RunSpec, WindowSpec, WorkloadSpec
from m2bench.records.wrong_device import OPTION as WRONG_DEVICE

from . import gate_commands as gate
from .options import (
    DEVICES,
    INTERRUPTED,
    MAX_SEED,
    POLICIES,
    AsJson,
    CompileBackend,
    Data,
    Debug,
    Device,
    EpisodeLength,
    LrScaling,
    NumEnvs,
    Policy,
    Seed,
    Threads,
    Workload,
    at_least,
    debugging,
    in_order,
    make_console,
    one_of,
    parse_layers,
    parse_names,
    thread_count,
    whole_numbers,
    within,
    workload_spec,
)

if TYPE_CHECKING:
    from rich.console import Console

    from m2bench.inspect.profile import Pair

TARGETS = ("mps", "cuda")
LEARNING_MODES = ("off", "quick", "full")

app = typer.Typer(
    help="Which optimizations of a PyTorch reinforcement-learning trainer pay, on the machine in front of you.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


# A mistake on the command line; typer gives a name to some of its kinds alone.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


def main() -> None:
    """Entry point: runs the command line and turns errors into one message and an exit code.

    A mistake on the command line ends with 1, and not with typer's 2, which is a regression here.
    """
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        _fail(str(error))
    except UsageError as error:
        error.show()
        sys.exit(1)
    except typer.Abort:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 (the outermost edge: nothing may reach the user as a traceback)
        _fail(f"{type(error).__name__}: {error}. This is a fault of m2bench; run again with --debug to see where.")


def _fail(message: str) -> None:
    if debugging():
        traceback.print_exc()
    typer.echo(f"error: {message}", err=True)
    sys.exit(1)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"m2bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Holds the options of the program itself."""


@app.command()
def ablate(
    context: typer.Context,
    all_combinations: Annotated[
        bool, typer.Option("--all", help="Every combination: the same as --design full.")
    ] = False,
    design: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: single, leave-one-out, stack, quarter, half, full.  "
            "[default: single,leave-one-out,stack]"
        ),
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Layers taking part, comma-separated.  [default: all six]")] = None,
    blocks: Annotated[
        int | None,
        typer.Option(help="Rounds of all combinations.  [default: 3; with --quick as few as give intervals]"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time for the whole run, as 90s, 10m or 1.5h: takes the best design and blocks that fit."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few short trials: a first look, not a verdict.")] = False,
    device: Device = "auto",
    data: Data = "synthetic",
    num_envs: NumEnvs = None,
    episode_length: EpisodeLength = 128,
    policy: Policy = "default",
    lr_scaling: LrScaling = "none",
    learning: Annotated[
        str,
        typer.Option(
            help=f"How much learning is measured: {', '.join(LEARNING_MODES)}. quick: a fifth of the run's time; "
            "full: every combination is trained to the target, or for half of --trial-timeout."
        ),
    ] = "quick",
    sweep: Annotated[
        str | None,
        typer.Option(help="Numbers of environments, comma-separated, to try with the fastest combination at the end."),
    ] = None,
    compile_backend: CompileBackend = None,
    threads: Threads = "auto",
    seed: Seed = 0,
    trial_timeout: Annotated[float, typer.Option(help="Seconds after which a trial is killed.")] = 600.0,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.  [default: reports/<time>]")] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
    more_blocks: Annotated[
        int | None, typer.Option(help="With --resume: so many blocks more than were planned, to settle what is not.")
    ] = None,
    allow_wrong_device: Annotated[
        bool, typer.Option(WRONG_DEVICE, help="Go on where the device computes wrongly, and mark every figure.")
    ] = False,
    wait_for_quiet: Annotated[
        str | None,
        typer.Option(help="Time to wait in all, as 90s or 10m, while other processes keep the machine busy."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and a time estimate; run nothing.")
    ] = False,
    workload: Workload = WorkloadSpec.module,
    debug: Debug = False,
) -> None:
    """Train the system under the combinations of its layers and print what each layer is worth."""
    from m2bench.plan.budget import parse_duration
    from m2bench.run import ablation
    from m2bench.run.store import FILE_NAME

    if resume is not None:
        _refuse_beside_resume(context)
        spec, folder = ablation.stored_spec(resume), resume
        spec = replace(spec, blocks=spec.blocks + at_least("--more-blocks", more_blocks or 0, 0))
    else:
        if more_blocks is not None:
            raise UserError("--more-blocks adds to a run that there is.", "Name it with --resume, or use --blocks.")
        taking_part = parse_layers(layers) if layers is not None else tuple(LAYERS)
        system = workload_spec(
            device, data, num_envs, episode_length, policy, lr_scaling, compile_backend, workload, taking_part
        )
        _refuse_beside_budget(budget, all_combinations, design, blocks)
        spec = _run_spec(all_combinations, design, taking_part, blocks, quick, trial_timeout, seed, learning, system)
        spec = replace(
            spec,
            sweep=_sweep(sweep, taking_part),
            allow_wrong_device=allow_wrong_device,
            threads=thread_count(threads),
        )
        folder = out or Path("reports") / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    console = make_console()
    wait_s = parse_duration("--wait-for-quiet", wait_for_quiet) if wait_for_quiet is not None else 0.0
    budget_s = parse_duration("--budget", budget) if budget is not None else None
    if dry_run:
        ablation.show_plan(spec, folder if resume else None, budget_s, console)
        return
    try:
        ablation.run(spec, folder, resume is not None, budget_s, wait_s, console)
        _report(folder, console)
    except KeyboardInterrupt:
        begun = (folder / FILE_NAME).exists()
        advice = f"continue with: m2bench ablate --resume {quoted(folder)}" if begun else "no trial had been run"
        typer.echo(f"interrupted; {advice}", err=True)
        sys.exit(INTERRUPTED)


def _report(folder: Path, console: Console) -> None:
    """Write and show the report of the run in ``folder``; UserError when nothing could be measured."""
    from m2bench.report import show_report, write_report
    from m2bench.run.store import Store

    with Store.open(folder) as store:
        summary = write_report(store)
    show_report(summary, folder, console)
    if summary["best"] is None:
        raise UserError("no combination could be measured.", f"The reasons stand above, the logs in {folder / 'logs'}.")


def _refuse_beside_budget(budget: str | None, all_combinations: bool, design: str | None, blocks: int | None) -> None:
    given = {"--all": all_combinations, "--design": design is not None, "--blocks": blocks is not None}
    if budget is not None and any(given.values()):
        named = ", ".join(option for option, is_given in given.items() if is_given)
        raise UserError(f"--budget chooses the design and the blocks, and cannot take {named}.", "Leave one out.")


def _refuse_beside_resume(context: typer.Context) -> None:
    """A resumed run does what it was begun with; any option that says otherwise is an error."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in (None, "resume", "more_blocks", "wait_for_quiet", "dry_run", "debug")
        and (source := context.get_parameter_source(str(parameter.name))) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise UserError(
            f"--resume continues a run with the options it was begun with, and cannot take {', '.join(given)}.",
            "Leave them out (only --more-blocks adds to it), or begin a new run without --resume.",
        )


def _run_spec(
    all_combinations: bool,
    design: str | None,
    layers: Layers,
    blocks: int | None,
    quick: bool,
    trial_timeout_s: float,
    seed: int,
    learning: str,
    workload: WorkloadSpec,
) -> RunSpec:
    from m2bench.plan.designs import DEFAULT_DESIGN, DESIGNS, choose_combinations, fewest_blocks

    if all_combinations and design is not None:
        raise UserError("--all and --design contradict each other: --all is --design full.", "Give one of them.")
    names: tuple[str, ...] = ("full",) if all_combinations else DEFAULT_DESIGN
    if design is not None:
        names = parse_names(design, tuple(DESIGNS), "design")
    within("--seed", seed, 0, MAX_SEED)
    within("--trial-timeout", trial_timeout_s, 1, 86_400)
    spec = RunSpec(
        layers=layers,
        design=names,
        blocks=3 if blocks is None else at_least("--blocks", blocks, 1),
        seed=seed,
        learning=one_of("--learning", learning, LEARNING_MODES),
        workload=workload,
        window=QUICK if quick else WindowSpec(),
        trial_timeout_s=trial_timeout_s,
    )
    choose_combinations(spec.layers, spec.design)  # refuses a design that these layers do not have
    if quick and blocks is None:
        spec = replace(spec, blocks=fewest_blocks(spec))
    return spec


def _sweep(text: str | None, taking_part: Layers) -> tuple[int, ...]:
    if text is None:
        return ()
    if SWEPT_LAYER not in taking_part:
        raise UserError(
            f"--sweep has no effect without the layer {SWEPT_LAYER}.", f"Add {SWEPT_LAYER}, or leave it out."
        )
    return tuple(at_least("--sweep", size, 2) for size in whole_numbers("--sweep", text, "number of environments"))


@app.command()
def train(
    with_layers: Annotated[str | None, typer.Option("--with", help="Layers to switch on, comma-separated.")] = None,
    episodes: Annotated[int, typer.Option(help="Episodes to learn from.")] = 1000,
    device: Device = "auto",
    data: Data = "synthetic",
    num_envs: NumEnvs = None,
    episode_length: EpisodeLength = 128,
    policy: Policy = "default",
    lr_scaling: LrScaling = "none",
    compile_backend: CompileBackend = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.  [default: reports/train-<time>]")] = None,
    workload: Workload = WorkloadSpec.module,
    debug: Debug = False,
) -> None:
    """Train one combination, show its learning curve, and save a checkpoint."""
    from m2bench.inspect import train

    layers = parse_layers(with_layers) if with_layers is not None else ()
    spec = workload_spec(device, data, num_envs, episode_length, policy, lr_scaling, compile_backend, workload, layers)
    at_least("--episodes", episodes, 1)
    within("--seed", seed, 0, MAX_SEED)
    folder = out or Path("reports") / datetime.now().strftime("train-%Y-%m-%d-%H%M%S")
    try:
        train.run(spec, layers, episodes, seed, folder, make_console())
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was saved", err=True)
        sys.exit(INTERRUPTED)


@app.command()
def profile(
    layer: Annotated[str | None, typer.Option(help="Layer to look at: with it against without it.")] = None,
    with_layers: Annotated[
        str | None, typer.Option("--with", help="Layers that are on in what is looked at, comma-separated.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Layers of what it is compared with, comma-separated, or baseline.  "
            "[default: the same without --layer; baseline]"
        ),
    ] = None,
    device: Device = "auto",
    data: Data = "synthetic",
    num_envs: NumEnvs = None,
    episode_length: EpisodeLength = 128,
    policy: Policy = "default",
    compile_backend: CompileBackend = None,
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Short looks: a first impression, not a verdict.")] = False,
    metal_capture: Annotated[
        Path | None, typer.Option(help="Also write one update as a Metal capture (.gputrace), for Xcode.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.  [default: reports/profile-<time>]")] = None,
    workload: Workload = WorkloadSpec.module,
    debug: Debug = False,
) -> None:
    """Show where the time goes before and after a layer, and why that changes the speed."""
    from m2bench.inspect import profile

    pair = _pair(layer, with_layers, against, quick)
    taking_part = in_order({*pair.before, *pair.after})
    spec = workload_spec(device, data, num_envs, episode_length, policy, "none", compile_backend, workload, taking_part)
    within("--seed", seed, 0, MAX_SEED)
    folder = out or Path("reports") / datetime.now().strftime("profile-%Y-%m-%d-%H%M%S")
    try:
        profile.run(spec, pair, seed, folder, metal_capture, make_console())
    except KeyboardInterrupt:
        _end_interrupted(folder)


def _end_interrupted(folder: Path) -> NoReturn:
    saved = f"what had been written is in {quoted(folder)}" if folder.exists() else "nothing was saved"
    typer.echo(f"interrupted; {saved}", err=True)
    sys.exit(INTERRUPTED)


def _pair(layer: str | None, with_layers: str | None, against: str | None, quick: bool) -> Pair:
    from m2bench.inspect.profile import Pair

    if layer is None and with_layers is None:
        raise UserError("there is nothing to profile.", "Name a layer with --layer, or a combination with --with.")
    added = parse_layers(layer) if layer is not None else ()
    rest = parse_layers(with_layers) if with_layers is not None else ()
    if against is None:
        before = tuple(name for name in rest if name not in added) if added else ()
    else:
        before = () if against == "baseline" else parse_layers(against)
    after = in_order({*added, *rest})
    if before == after:
        raise UserError(f"both sides are {'+'.join(after)}.", "Compare it with something else by --against.")
    return Pair(before, after, seconds=0.3, pairs=2) if quick else Pair(before, after)


@app.command("layers")
def show_layers(
    device: Device = "auto", compile_backend: CompileBackend = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """List the layers, what is claimed for them, and whether this machine can run them."""
    from rich.markup import escape
    from rich.table import Table

    from m2bench.processes.client import Launcher
    from m2bench.records.documents import to_json
    from m2bench.run.describe import describe

    spec = WorkloadSpec(device=one_of("--device", device, DEVICES), compile_backend=compile_backend)
    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            description = describe(launcher, spec, work)
    if as_json:
        found = to_json(description)
        typer.echo(json.dumps({"device": found["device"], "layers": found["layers"]}, indent=1))
        return
    table = Table(title=f"Layers on {description.device.device}", title_justify="left", header_style="bold")
    for column in ("layer", "replaces", "does", "claimed", "difficulty", "priority", "here"):
        table.add_column(column, overflow="fold")
    for layer in description.layers:
        claim = layer.claim
        here = "runs" if layer.unsupported is None else f"cannot run: {layer.unsupported}"
        cells = (layer.name, layer.part, layer.summary, claim.text, claim.difficulty, claim.priority, here)
        table.add_row(*map(escape, cells))
    make_console().print(table)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    trace: Annotated[
        str | None,
        typer.Option(
            help="Show the trials behind a layer, combination (a+b), interaction (a*b), noise or learning instead."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Rebuild the report of a run from its results."""
    from m2bench.findings.trials_behind import trace as traced
    from m2bench.report import show_report, write_report
    from m2bench.run.store import Store
    from m2bench.text.tables import draw_table

    with Store.open(folder) as store:
        if trace is not None:
            for table in traced(store.record(), store.trials(), trace):
                draw_table(table, make_console())
            return
        summary = write_report(store)
    show_report(summary, folder, make_console())


@app.command()
def doctor(
    device: Device = "auto",
    seconds: Annotated[float, typer.Option(help="Length of the noise test.")] = 30.0,
    workload: Workload = WorkloadSpec.module,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Examine this machine: what disturbs measuring on it, and what a run can tell apart."""
    from m2bench.inspect.doctor import examine, show

    within("--seconds", seconds, 1, 3600)
    spec = WorkloadSpec(device=one_of("--device", device, DEVICES), module=workload)
    found = examine(spec, tuple(LAYERS), seconds, make_console(to_stderr=as_json))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        show(found, make_console())
    if not found["fit"]:
        raise typer.Exit(1)


@app.command()
def forward(
    passes: Annotated[
        int,
        typer.Option(help="Passes timed at batch size 1, in 5 groups of equal size; at larger ones at most as many."),
    ] = 1000,
    batches: Annotated[str, typer.Option(help="Batch sizes, comma-separated.")] = "1,4,16,64,256,1024,4096",
    device: Annotated[str, typer.Option(help=f"Device: {', '.join(DEVICES)}; auto is every device here.")] = "auto",
    policy: Policy = "default",
    compile_backend: CompileBackend = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.  [default: reports/forward-<time>]")] = None,
    debug: Debug = False,
) -> None:
    """Time forward passes of the policy at growing batch sizes, plain, compiled and in mixed precision."""
    from m2bench.inspect import forward

    within("--passes", passes, 5, 1_000_000)
    sizes = whole_numbers("--batches", batches, "batch size")
    spec = WorkloadSpec(
        device=one_of("--device", device, DEVICES),
        policy=one_of("--policy", policy, POLICIES),
        compile_backend=compile_backend,
    )
    folder = out or Path("reports") / datetime.now().strftime("forward-%Y-%m-%d-%H%M%S")
    try:
        forward.run(spec, sizes, passes, folder, make_console())
    except KeyboardInterrupt:
        _end_interrupted(folder)


@app.command()
def audit(
    target: Annotated[str, typer.Option(help=f"Device to audit for: {', '.join(TARGETS)}.")] = "mps",
    layers: Annotated[str | None, typer.Option(help="Layers taking part, comma-separated.  [default: all six]")] = None,
    episode_length: Annotated[int, typer.Option(help="Decisions per episode; operators repeat with every one.")] = 8,
    policy: Policy = "default",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell, from any machine, which operators of the training loop a device has no kernel for, and where it waits."""
    from m2bench.inspect.audit import audit as run_audit
    from m2bench.inspect.audit import show

    taking_part = parse_layers(layers) if layers is not None else tuple(LAYERS)
    target = one_of("--target", target, TARGETS)
    spec = workload_spec(
        "cpu", "synthetic", None, episode_length, policy, "none", None, WorkloadSpec.module, taking_part
    )
    found = run_audit(target, spec, taking_part, make_console(to_stderr=as_json))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        show(found, make_console())
    if found["blockers"]:
        raise typer.Exit(1)


@app.command("compare")
def compare_runs(
    a: Annotated[Path, typer.Argument(help="Folder of the run to compare with.")],
    b: Annotated[Path, typer.Argument(help="Folder of the run that is compared.")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare two runs: what each layer and combination is worth in both, and absolute speeds on equal machines."""
    from m2bench.findings.compare import compare, show_comparison
    from m2bench.run.store import Store

    with Store.open(a) as first, Store.open(b) as second:
        document = compare(first, second)
    if as_json:
        typer.echo(json.dumps(document, indent=1))
        return
    show_comparison(document, make_console())


app.command()(gate.check)
app.add_typer(gate.baseline, name="baseline")

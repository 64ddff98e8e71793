"""The commands ``check`` and ``baseline``. Options become one request here; nothing behind it sees raw arguments."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m2bench.records.combinations import BASELINE, Layers, combination_name, layers_of
from m2bench.records.errors import UserError
from m2bench.records.spec import WindowSpec, WorkloadSpec

from .options import (
    INTERRUPTED,
    MAX_SEED,
    AsJson,
    CompileBackend,
    Data,
    Debug,
    Device,
    EpisodeLength,
    NumEnvs,
    Policy,
    Seed,
    Threads,
    Workload,
    at_least,
    make_console,
    parse_layers,
    thread_count,
    within,
    workload_spec,
)

if TYPE_CHECKING:
    from m2bench.gate.measure import Request
    from m2bench.gate.references.reference import Reference

RECOMMENDED: Layers = ("batching", "vectorized-loss")  # of the sample run in reports/sample
PLACES = ("out", "junit", "as_json", "debug", "base")  # options that do not change what is asked

Combinations = Annotated[
    str | None,
    typer.Option(
        "--layers",
        help="Gated combinations, as baseline,a+b.  [default: those of the reference; without one "
        f"baseline,{combination_name(RECOMMENDED)}, or baseline alone for a system of your own]",
    ),
]
Window = Annotated[
    float | None, typer.Option(help="Seconds that each process is timed; longer is less noisy.  [default: 1 to 2]")
]
Timeout = Annotated[float, typer.Option(help="Seconds after which a trial is killed.")]
Name = Annotated[str, typer.Argument(help="Name of the reference.")]
Checked = Annotated[Path, typer.Argument(help="Folder of the check (its --out) whose figures are taken.")]
DELTA, DELTA_OF_REFERENCE = "5%", "10%"  # another job's figures are not known well enough for less

baseline: typer.Typer = typer.Typer(
    help="Stored references: what the speed was, as small files in the repository.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def check(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Option(help="Commit to compare the working tree with, both measured in this job.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Stored reference to compare the working tree with, by its name.")
    ] = None,
    floors: Annotated[
        list[str] | None,
        typer.Option("--min", help="Floor of the last of --layers: episodes_per_min=2000 or speedup=20."),
    ] = None,
    delta: Annotated[
        str | None,
        typer.Option(help=f"Loss of speed that is allowed.  [default: {DELTA}; with --against {DELTA_OF_REFERENCE}]"),
    ] = None,
    alpha: Annotated[str, typer.Option(help="Rate of false alarms of one verdict, over all looks and metrics.")] = "1%",
    max_blocks: Annotated[int, typer.Option(help="Blocks after which an unclear verdict is left at that.")] = 14,
    layers: Combinations = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="What is inconclusive or not comparable counts as failed in all outputs.")
    ] = False,
    device: Device = "auto",
    data: Data = "synthetic",
    num_envs: NumEnvs = None,
    episode_length: EpisodeLength = 128,
    policy: Policy = "default",
    compile_backend: CompileBackend = None,
    threads: Threads = "auto",
    seed: Seed = 0,
    window: Window = None,
    trial_timeout: Timeout = 600.0,
    workload: Workload = WorkloadSpec.module,
    junit: Annotated[Path | None, typer.Option(help="Write the verdict as JUnit XML to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.  [default: reports/check-<time>]")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Did training become slower, or learn something else? The CI gate.

    Exit codes: 0 pass, 1 error or nothing measured, 2 regression, 3 inconclusive or not comparable, 4 learning or
    numerics changed.
    """
    from m2bench.gate import outputs
    from m2bench.gate.job import Asked
    from m2bench.gate.job import check as run_check
    from m2bench.records.folders import make_folder, refuse_used, removed_if_refused, write_file

    _refuse_contradictions(base, against, floors)
    combinations = _combinations(layers, against, workload)
    layers_used = _taking_part(combinations)
    spec = workload_spec(device, data, num_envs, episode_length, policy, "none", compile_backend, workload, layers_used)
    request = _request(spec, combinations, window, threads, seed, trial_timeout)
    asked = Asked(
        request=request,
        delta=_share("--delta", delta or (DELTA_OF_REFERENCE if against else DELTA), 0.5),
        alpha=_share("--alpha", alpha, 0.25),
        max_blocks=at_least("--max-blocks", max_blocks, 3),
        base=base,
        against=against,
        floors=_floors(floors or [], combinations),
        command=("m2bench", "check", *_given(context)),
    )
    folder = out or Path("reports") / datetime.now().strftime("check-%Y-%m-%d-%H%M%S")
    refuse_used(folder, "Choose another folder with --out.")
    console = make_console(to_stderr=as_json)
    try:
        with removed_if_refused(folder):
            outcome = run_check(asked, folder, console)
    except KeyboardInterrupt:
        typer.echo("interrupted; there is no verdict, and nothing was left behind", err=True)
        sys.exit(INTERRUPTED)
    # The verdict first: a disk that is full must not cost what took minutes.
    typer.echo(json.dumps(outcome.to_json(), indent=1) if as_json else outcome.in_words)
    outputs.write_outputs(outcome, folder)
    if junit is not None:
        make_folder(junit.parent, "Choose another file with --junit.")
        write_file(junit, outputs.junit(outcome, strict))
    for line in outputs.tell_github(outcome, strict):
        typer.echo(line, err=as_json)
    verdict = outcome.verdict
    typer.echo(f"Exit code {verdict.exit_code} ({verdict.kind}). Results: {folder}", err=as_json)
    raise typer.Exit(verdict.exit_code)


def _refuse_contradictions(base: str | None, against: str | None, floors: list[str] | None) -> None:
    if base is not None and against is not None:
        raise UserError("--base and --against are two ways to ask, and exclude each other.", "Give one of them.")
    if base is None and against is None and not floors:
        raise UserError(
            "there is nothing to check against.",
            "Give --base REF (a commit), --against NAME (a stored reference) or --min speedup=20.",
        )


def _given(context: typer.Context) -> list[str]:
    """The options of the command line that say what is asked, as words of a shell."""
    words: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in PLACES or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [parameter.opts[0]] if one is True else [parameter.opts[0], shlex.quote(str(one))]
    return words


def _combinations(text: str | None, against: str | None, workload: str) -> tuple[Layers, ...]:
    """What is gated: as asked for, else that of the reference, else what is recommended.

    A system of one's own (``workload``) has layers of its own, whose names its description will be asked for.
    """
    is_ours = workload == WorkloadSpec.module
    if text is None:
        if against is not None:
            return _reference(against).layers
        return (BASELINE, RECOMMENDED) if is_ours else (BASELINE,)
    names = [name.strip() for name in text.split(",") if name.strip()]
    found = tuple(layers_of(name) for name in names)
    if is_ours:
        found = tuple(parse_layers(",".join(layers)) if layers else BASELINE for layers in found)
    if not found or len(set(found)) < len(found):
        raise UserError(
            f"--layers {text!r} names no combination, or one twice.", "Give some, as in baseline,batching+amp."
        )
    return found


def _reference(name: str) -> Reference:
    from m2bench.gate.references.stored import find
    from m2bench.gate.sides import repository

    return find(repository(Path.cwd()), name)


def _taking_part(combinations: tuple[Layers, ...]) -> Layers:
    return tuple({layer: None for combination in combinations for layer in combination})


def _request(
    spec: WorkloadSpec,
    combinations: tuple[Layers, ...],
    window_s: float | None,
    threads: str,
    seed: int,
    trial_timeout_s: float,
) -> Request:
    from m2bench.gate.measure import Request

    within("--seed", seed, 0, MAX_SEED)
    within("--trial-timeout", trial_timeout_s, 1, 86_400)
    window = WindowSpec()
    if window_s is not None:
        within("--window", window_s, 0.01, 600)
        window = replace(window, warmup_s=window_s / 2, timed_s=window_s, timed_most_s=window_s)
    return Request(spec, window, combinations, seed, trial_timeout_s, thread_count(threads))


def _share(option: str, text: str, most: float) -> float:
    """A share given as 5% or 0.05."""
    try:
        value = float(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise UserError(f"{option} {text!r} is not a share.", "Give one as 5% or 0.05.") from None
    if not 0 < value <= most:
        raise UserError(f"{option} must be more than 0 and at most {most:.0%}, and {text} was given.", "5% is 0.05.")
    return value


def _floors(texts: list[str], combinations: tuple[Layers, ...]) -> dict[str, float]:
    from m2bench.gate.metrics import FLOORS

    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if name not in FLOORS or not 0 < value < float("inf"):
            raise UserError(f"--min {text!r} is not a floor.", f"Give one as {FLOORS[0]}=2000 or {FLOORS[1]}=20.")
        found[name] = value
    if "speedup" in found and (BASELINE not in combinations or combinations[-1] == BASELINE):
        raise UserError(
            "--min speedup needs the baseline and, last, the combination that is to be faster.",
            f"Gate both: --layers baseline,{combination_name(RECOMMENDED)}",
        )
    return found


# --- references


@baseline.command("save")
def save_reference(
    name: Name,
    blocks: Annotated[int, typer.Option(help="Blocks to measure.")] = 10,
    replace_old: Annotated[bool, typer.Option("--replace", help="Overwrite a reference of this name.")] = False,
    layers: Combinations = None,
    device: Device = "auto",
    data: Data = "synthetic",
    num_envs: NumEnvs = None,
    episode_length: EpisodeLength = 128,
    policy: Policy = "default",
    compile_backend: CompileBackend = None,
    threads: Threads = "auto",
    seed: Seed = 0,
    window: Window = None,
    trial_timeout: Timeout = 600.0,
    workload: Workload = WorkloadSpec.module,
    out: Annotated[Path | None, typer.Option(help="Folder of the logs.  [default: reports/save-<time>]")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure the working tree now, and store it as a reference."""
    from m2bench.gate.job import save
    from m2bench.gate.references.stored import reference_path
    from m2bench.gate.references.stored import save as write
    from m2bench.gate.sides import repository
    from m2bench.records.folders import refuse_used, removed_if_refused

    repo = repository(Path.cwd())
    path = reference_path(repo, name)
    if path.exists() and not replace_old:
        raise UserError(
            f"there is a reference {name!r} already: {path}.",
            f"Take over a check with: m2bench baseline promote {name} DIR, choose another name, or add --replace.",
        )
    combinations = _combinations(layers, None, workload)
    spec = workload_spec(
        device, data, num_envs, episode_length, policy, "none", compile_backend, workload, _taking_part(combinations)
    )
    request = _request(spec, combinations, window, threads, seed, trial_timeout)
    at_least("--blocks", blocks, 3)
    folder = out or Path("reports") / datetime.now().strftime("save-%Y-%m-%d-%H%M%S")
    refuse_used(folder, "Choose another folder with --out.")
    try:
        with removed_if_refused(folder):
            reference = save(name, request, blocks, folder, make_console(to_stderr=as_json))
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was saved", err=True)
        sys.exit(INTERRUPTED)
    write(repo, reference)
    _say(reference, f"Saved {path}; commit it.", as_json)


@baseline.command("list")
def list_all(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the references of this repository, the newest first."""
    from m2bench.gate.references.stored import list_references
    from m2bench.gate.sides import repository

    found = list_references(repository(Path.cwd()))
    if as_json:
        typer.echo(json.dumps([asdict(reference) for reference in found], indent=1))
        return
    for reference in found:
        typer.echo(_line(reference))
    if not found:
        typer.echo("There is no reference yet. Save one with: m2bench baseline save NAME")


@baseline.command("show")
def show_reference(name: Name, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show one reference: its levels, its machine, and how it came about."""
    from m2bench.gate.references.stored import find
    from m2bench.gate.sides import repository

    reference = find(repository(Path.cwd()), name)
    lines = [_line(reference), *_levels(reference)]
    facts = ", ".join(f"{key} {value}" for key, value in reference.machine.items() if value is not None)
    lines.append(f"machine: {facts}")
    for entry in reference.history:
        reason = f": {entry.reason}" if entry.reason else ""
        lines.append(f"{entry.date} {entry.kind} at {entry.commit}{reason}")
    _say(reference, "\n".join(lines), as_json)


@baseline.command()
def promote(name: Name, folder: Checked, as_json: AsJson = False, debug: Debug = False) -> None:
    """Make what a check has measured the new level of a reference."""
    _take_over(name, folder, "promoted", None, as_json)


@baseline.command()
def annotate(
    name: Name,
    folder: Checked,
    reason: Annotated[str, typer.Option(help="Why the change is intended.")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Accept an intended change: the level becomes what a check has measured, the spread stays as it was."""
    if not reason.strip():
        raise UserError("--reason is empty.", "Say why the change is intended; it stands in the history.")
    _take_over(name, folder, "annotated", reason.strip(), as_json)


def _take_over(name: str, folder: Path, kind: str, reason: str | None, as_json: bool) -> None:
    from m2bench.gate.references.promotion import taken_over
    from m2bench.gate.references.stored import find, save
    from m2bench.gate.sides import repository

    repo = repository(Path.cwd())
    reference = taken_over(find(repo, name), folder, kind, reason)
    path = save(repo, reference)
    _say(reference, f"{kind.capitalize()}: {path}; commit it.", as_json)


@baseline.command("history")
def show_history(
    name: Name,
    runs: Annotated[Path, typer.Option(help="Folder below which the results of checks lie.")] = Path("reports"),
    delta: Annotated[str, typer.Option(help="Loss of speed that is told.")] = DELTA,
    out: Annotated[Path | None, typer.Option(help="Folder that history.json and history.svg are written to.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """A reference over time: change points, and slow creep that no single step shows (exit code 2).

    Where the machine may have become slower instead, that is said, and is no failure.
    """
    from m2bench.gate.references.history import draw, make_series
    from m2bench.gate.references.stored import find, load_checks
    from m2bench.gate.sides import repository
    from m2bench.records.folders import make_folder, write_file

    reference = find(repository(Path.cwd()), name)
    series = make_series(reference, load_checks(runs), _share("--delta", delta, 0.5))
    documents = [{**asdict(one), "sentence": one.sentence} for one in series]
    if out is not None:
        make_folder(out)
        write_file(out / "history.json", json.dumps(documents, indent=1) + "\n")
        draw(series, out / "history.svg")
    typer.echo(json.dumps(documents, indent=1) if as_json else "\n".join(one.sentence for one in series))
    if any(one.creep for one in series):
        raise typer.Exit(2)


def _say(reference: Reference, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(reference), indent=1) if as_json else text)


def _line(reference: Reference) -> str:
    facts = reference.machine
    machine = f"{facts['device']} of {facts['chip']}, torch {facts['torch']}"
    return f"{reference.name}: {reference.created} at {reference.commit}, {machine}"


def _levels(reference: Reference) -> list[str]:
    return [
        f"  {name}: " + ", ".join(f"{metric} {value:,.4g}" for metric, value in metrics.items())
        for name, metrics in reference.levels().items()
    ]

"""The commands ``baseline ...``: stored references."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from m2bench.errors import UserError
from m2bench.options.option import argument, at_least, option

from .command import AskedSystem, command
from .console import interruptible, make_console
from .gated import Gated, reference_named, share_option
from .shared_options import AsJson, new_folder, results_option

if TYPE_CHECKING:
    from m2bench.gate.references.reference import Reference


@dataclass(frozen=True, kw_only=True)
class Named(AsJson):
    """A reference by its name."""

    name: str = argument("Name of the reference.")


@dataclass(frozen=True, kw_only=True)
class Save(Named, Gated):
    """What ``baseline save`` is asked for."""

    blocks: int = option(10, "Blocks to measure.", read=at_least(3))
    replace_old: bool = option(False, "Overwrite a reference of this name.", spelled="--replace")
    out: Path | None = results_option("save-", "logs")


@command("baseline save")
def save(asked: Save, system: AskedSystem) -> None:
    """Measure the working tree now and store the result as a reference."""
    from m2bench.gate.measure_reference import measure_reference
    from m2bench.gate.references import stored
    from m2bench.gate.repository import repository
    from m2bench.store.folders import refuse_used, removed_if_refused

    repo = repository(Path.cwd())
    path = stored.reference_path(repo, asked.name)
    if path.exists() and not asked.replace_old:
        raise UserError(
            f"there is already a reference {asked.name!r}: {path}.",
            f"To update it from a check: m2bench baseline promote {asked.name} DIR. Or choose another name, or add "
            "--replace.",
        )
    request = asked.request(system, against=None)
    folder = asked.out or new_folder("save-")
    refuse_used(folder, "Choose another folder with --out.")
    with interruptible(lambda: "nothing was saved"), removed_if_refused(folder):
        console = make_console(to_stderr=asked.as_json)
        reference = measure_reference(asked.name, request, asked.blocks, folder, console)
    stored.write_reference(repo, reference)
    _say(reference, f"Saved {path}; commit it.", asked.as_json)


@command("baseline list")
def list_references(asked: AsJson) -> None:
    """List the references of this repository, the newest first."""
    from m2bench.gate.references import stored
    from m2bench.gate.repository import repository

    found = stored.read_references(repository(Path.cwd()))
    if asked.as_json:
        typer.echo(json.dumps([asdict(reference) for reference in found], indent=1))
        return
    for reference in found:
        typer.echo(_line(reference))
    if not found:
        typer.echo("There is no reference yet. Save one with: m2bench baseline save NAME")


@command("baseline show")
def show(asked: Named) -> None:
    """Show one reference: its levels, its machine and its history."""
    reference = reference_named(asked.name)
    lines = [_line(reference), *_levels(reference)]
    facts = ", ".join(f"{key} {value}" for key, value in reference.machine.items() if value is not None)
    lines.append(f"machine: {facts}")
    for entry in reference.history:
        reason = f": {entry.reason}" if entry.reason else ""
        lines.append(f"{entry.date} {entry.kind} at {entry.commit}{reason}")
    _say(reference, "\n".join(lines), asked.as_json)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A check that has been run."""

    folder: Path = argument("Folder of the check (its --out) to take the figures from.")


@dataclass(frozen=True, kw_only=True)
class Promote(Named, Checked):
    """What ``baseline promote`` is asked for."""


@command("baseline promote")
def promote(asked: Promote) -> None:
    """Update a reference to the speeds that a check measured."""
    _take_over(asked, "promoted", None)


@dataclass(frozen=True, kw_only=True)
class Annotate(Promote):
    """What ``baseline annotate`` is asked for."""

    reason: str = option(..., "Why the change is intended.")


@command("baseline annotate")
def annotate(asked: Annotate) -> None:
    """Accept an intended change: take the level from a check, and keep the spread."""
    if not asked.reason.strip():
        raise UserError("--reason is empty.", "Say why the change is intended; the history shows it.")
    _take_over(asked, "annotated", asked.reason.strip())


def _take_over(asked: Promote, kind: str, reason: str | None) -> None:
    from m2bench.gate.references import stored
    from m2bench.gate.references.promotion import taken_over
    from m2bench.gate.repository import repository

    reference = taken_over(reference_named(asked.name), asked.folder, kind, reason)
    path = stored.write_reference(repository(Path.cwd()), reference)
    _say(reference, f"{kind.capitalize()}: {path}; commit it.", asked.as_json)


@dataclass(frozen=True, kw_only=True)
class History(Named):
    """What ``baseline history`` is asked for."""

    runs: Path = option(Path("reports"), "Folder to search for the results of checks.")
    delta: float = share_option(0.05, "Loss of speed to report.", 0.5)
    out: Path | None = option(None, "Write history.json and history.svg to this folder.", asks=False)


@command("baseline history")
def history(asked: History) -> None:
    """Show a reference over time: change points, and slow drift that no single check shows (exit code 2).

    If it may be the machine that has become slower, it says so and exits with 0.
    """
    from m2bench.gate.references.history import draw_history, make_series
    from m2bench.gate.references.stored import load_checks
    from m2bench.store.files import write_file
    from m2bench.store.folders import make_folder

    series = make_series(reference_named(asked.name), load_checks(asked.runs), asked.delta)
    text = json.dumps([{**asdict(one), "sentence": one.sentence} for one in series], indent=1)
    if asked.out is not None:
        make_folder(asked.out)
        write_file(asked.out / "history.json", text + "\n")
        draw_history(series, asked.out / "history.svg")
    typer.echo(text if asked.as_json else "\n".join(one.sentence for one in series))
    if any(one.creep for one in series):
        raise typer.Exit(2)


def _say(reference: Reference, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(reference), indent=1) if as_json else text)


def _line(reference: Reference) -> str:
    facts = reference.machine
    torch = f", torch {facts['torch']}" if facts.get("torch") else ""
    return f"{reference.name}: {reference.created} at {reference.commit}, {facts['device']} of {facts['chip']}{torch}"


def _levels(reference: Reference) -> list[str]:
    def said(metric: str, value: float) -> str:
        return reference.speed.said(value) if metric == "episodes_per_min" else f"{metric} {value:,.4g}"

    return [
        f"  {name}: " + ", ".join(said(metric, value) for metric, value in metrics.items())
        for name, metrics in reference.levels().items()
    ]


group: typer.Typer = typer.Typer(
    help="Stored references: past speeds, as small files in the repository.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for made in (save, list_references, show, promote, annotate, history):
    group.command()(made)

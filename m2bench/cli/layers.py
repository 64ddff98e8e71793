"""The command ``layers``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from m2bench.errors import UserError

from .command import AskedSystem, command
from .console import make_console
from .shared_options import AsJson, known_layers

if TYPE_CHECKING:
    from m2bench.records.description import Description, LayerDescription


@command("layers")
def layers(system: AskedSystem, asked: AsJson) -> None:
    """List the layers, the gain claimed for each, and whether it runs on this machine."""
    from m2bench.processes.client import Launcher
    from m2bench.processes.environment import users_environment
    from m2bench.records.documents import to_json
    from m2bench.run.describe import describe, show_remarks_on_data

    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log", users_environment(system.workload)) as launcher:
            description = describe(launcher, system.workload, work)
    if not description.layers:
        known_layers(system.workload)  # says what to add to a trainer that has none
        raise UserError(f"{system.workload.module} names no layer.", "Name them in LAYERS in that module.")
    if asked.as_json:
        found = to_json(description)
        typer.echo(json.dumps({"device": found["device"], "layers": found["layers"]}, indent=1))
    else:
        _show(description)
        show_remarks_on_data(description, make_console())


def _show(description: Description) -> None:
    from rich.table import Table

    table = Table(title=f"Layers on {description.device.device}", title_justify="left", header_style="bold")
    rows = [_row(layer) for layer in description.layers]
    told = [column for column in rows[0] if any(row[column] for row in rows)]
    for column in told:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(row[column] for column in told))
    make_console().print(table)


def _row(layer: LayerDescription) -> dict[str, str]:
    """What is told of a layer, by the heading of the column; empty for what the system does not tell."""
    claim = layer.claim
    return {
        "layer": layer.name,
        "replaces": layer.part if layer.part != layer.name else "",
        "does": layer.summary,
        "needs": ", ".join(layer.needs),
        "excludes": ", ".join(layer.excludes),
        "claimed gain": claim.text if claim else "",
        "difficulty": claim.difficulty if claim else "",
        "priority": claim.priority if claim else "",
        "here": "runs" if layer.unsupported is None else f"cannot run: {layer.unsupported}",
    }

"""The command ``layers``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .command import System, command
from .console import make_console
from .shared_options import AsJson

if TYPE_CHECKING:
    from m2bench.records.description import Description


@command("layers")
def layers(system: System, asked: AsJson) -> None:
    """List the layers, the gain claimed for each, and whether it runs on this machine."""
    from m2bench.processes.client import Launcher
    from m2bench.records.documents import to_json
    from m2bench.run.describe import describe

    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            description = describe(launcher, system.workload, work)
    if asked.as_json:
        found = to_json(description)
        typer.echo(json.dumps({"device": found["device"], "layers": found["layers"]}, indent=1))
    else:
        _show(description)


def _show(description: Description) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Layers on {description.device.device}", title_justify="left", header_style="bold")
    for column in ("layer", "replaces", "does", "claimed gain", "difficulty", "priority", "here"):
        table.add_column(column, overflow="fold")
    for layer in description.layers:
        claim = layer.claim
        claimed = (claim.text, claim.difficulty, claim.priority) if claim else ("", "", "")
        here = "runs" if layer.unsupported is None else f"cannot run: {layer.unsupported}"
        table.add_row(*map(escape, (layer.name, layer.part, layer.summary, *claimed, here)))
    make_console().print(table)

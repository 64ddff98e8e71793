"""The command ``m2bench``: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Annotated, cast

import typer

from m2bench import __version__
from m2bench.errors import UserError

from . import baseline
from .ablate import ablate
from .audit import audit
from .check import check
from .compare import compare
from .console import INTERRUPTED
from .doctor import doctor
from .forward import forward
from .init import init
from .layers import layers
from .profile import profile
from .report import report
from .scale import scale
from .train import train

app = typer.Typer(
    help="Measure which optimizations make a PyTorch reinforcement-learning trainer faster on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for made in (ablate, scale, init, train, profile, layers, report, doctor, forward, audit, compare, check):
    app.command()(made)
app.add_typer(baseline.group, name="baseline")

# A mistake on the command line; typer gives a name to some of its kinds alone.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


def main() -> None:
    """Run the command line; turn errors into one message and an exit code.

    A mistake on the command line ends with 1, and not with typer's 2, which is a regression here.
    """
    try:
        sys.exit(app(prog_name="m2bench", standalone_mode=False))
    except UserError as error:
        _fail(str(error))
    except UsageError as error:
        error.show()
        _name_the_commands(getattr(error, "option_name", ""))
        sys.exit(1)
    except typer.Abort:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 (the outermost edge: nothing may reach the user as a traceback)
        _fail(f"{type(error).__name__}: {error}. This is a bug in m2bench; run again with --debug for the traceback.")


def _fail(message: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    typer.echo(f"error: {message}", err=True)
    sys.exit(1)


def _name_the_commands(option: str) -> None:
    """Say of an unknown option which other commands have it, where some do."""
    commands: Mapping[str, typer.core.TyperCommand] = typer.main.get_group(app).commands  # type: ignore[assignment]
    shown = [
        name
        for name, command in commands.items()
        if any(option in one.opts and not getattr(one, "hidden", False) for one in command.params)
    ]
    if shown:
        typer.echo(f"{option} is an option of m2bench {', '.join(shown)}.", err=True)


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

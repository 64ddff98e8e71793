"""The command ``init``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import typer

from m2bench.errors import UserError, quoted
from m2bench.options.option import argument

from .command import command

TEMPLATE = ("m2bench.systems.function", "template.py")


@dataclass(frozen=True, kw_only=True)
class Init:
    """What ``init`` is asked for."""

    file: Path = argument("Python file to write, such as my_trainer.py.")


@command("init")
def init(asked: Init) -> None:
    """Write a small trainer with comments to start from; it can be measured as it is."""
    path, measure = asked.file, f"m2bench ablate {quoted(asked.file)}:train --all --quick"
    if path.suffix != ".py":
        raise UserError(f"{path} is not the name of a Python file.", "Give one such as my_trainer.py.")
    package, name = TEMPLATE
    try:
        with path.open("x") as file:
            file.write(files(package).joinpath(name).read_text())
    except FileExistsError:
        raise UserError(f"{path} exists already, and was left as it is.", f"Measure it: {measure}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "Choose another place.") from error
    typer.echo(f"{path} is written. Measure it: {measure}")

"""The terminal that a command writes to, and what it answers to Ctrl-C."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from m2bench.errors import quoted

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130  # what a shell reports for a command ended by Ctrl-C


@contextmanager
def interruptible(advice: Callable[[], str]) -> Iterator[None]:
    """Answer Ctrl-C in the body with one message, of which ``advice`` says what has become of the work."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {advice()}", err=True)
        sys.exit(INTERRUPTED)


def left_in(folder: Path) -> Callable[[], str]:
    """What an interrupted command has left, as ``interruptible`` says it."""
    return lambda: f"partial results are in {quoted(folder)}" if folder.exists() else "nothing was saved"


def answer(found: object, as_json: bool, show: Callable[[Console], None]) -> None:
    """Print what a command found: the record as JSON, or as ``show`` shows it."""
    if as_json:
        from m2bench.records.documents import to_json

        typer.echo(json.dumps(to_json(found), indent=1))
    else:
        show(make_console())


def make_console(to_stderr: bool = False) -> Console:
    from m2bench.text.console import plain_console

    # A pipe has no width; wide enough that a row of a table stays a line.
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size((140, 24)).columns, 140)
    return plain_console(width=width, stderr=to_stderr)

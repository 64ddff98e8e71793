"""How far a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .pairs import Block


@contextmanager
def progress_of(blocks: int, console: Console) -> Iterator[Callable[[Block], Block]]:
    """Show how many of at most ``blocks`` are done; drawn between them alone, since drawing takes the trials' CPU."""
    columns = (TextColumn("blocks, at most"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, auto_refresh=False) as progress:
        task = progress.add_task("", total=blocks)

        def step(block: Block) -> Block:
            progress.update(task, advance=1, refresh=True)
            return block

        yield step

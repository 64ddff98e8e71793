"""Tables of text, built once and drawn by whoever shows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from .figures import NOT_KNOWN, NOT_KNOWN_NOTE, NOTHING

UNBOUNDED = 10_000  # columns: wider than any table
LEAST_OF_PROSE = 40  # columns: a last column of text is broken into lines as short as this before others are left out


@dataclass(frozen=True)
class Table:
    """A titled table of text; ``numeric`` columns are set flush right.

    ``droppable``: the columns that a narrow terminal or page does without, the first to go first. ``notes``: what a
    reader must know to read it, sentences that stand under it.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: frozenset[str]
    droppable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if NOT_KNOWN_NOTE not in self.notes and any(NOT_KNOWN in cell for row in self.rows for cell in row):
            object.__setattr__(self, "notes", (*self.notes, NOT_KNOWN_NOTE))

    def without(self, column: str) -> Table:
        """The table without this column."""
        at = self.columns.index(column)
        rows = [row[:at] + row[at + 1 :] for row in self.rows]
        columns, droppable = (tuple(c for c in names if c != column) for names in (self.columns, self.droppable))
        return dataclasses.replace(self, columns=columns, rows=rows, droppable=droppable)

    def without_empty_columns(self) -> Table:
        """The table without the columns that are empty in every row."""
        table = self
        for column, cells in zip(self.columns, zip(*self.rows, strict=True), strict=False):
            table = table.without(column) if {"", NOTHING}.issuperset(cells) else table
        return table


def draw_table(table: Table, console: Console) -> None:
    """Print a table; names are shown, never obeyed as markup. What does not fit the terminal's width is left out."""
    # A title of rich's own would be broken to the table's width.
    console.print(table.title, style="bold")
    dropped = []
    unbounded = console.options.update(max_width=UNBOUNDED)
    for column in table.droppable:
        if Measurement.get(console, unbounded, _rich(_with_short_prose(table))).maximum <= console.width:
            break
        table = table.without(column)
        dropped.append(column)
    console.print(_rich(table))
    for note in table.notes:
        console.print(note, style="dim")
    if dropped:
        left_out = f"(Left out at this width: {', '.join(dropped)}.)"
        console.print(left_out, style="dim")


def _with_short_prose(table: Table) -> Table:
    """The table as narrow as it is drawn without leaving out a column."""
    last = table.columns[-1]
    if last in table.numeric or last in table.droppable:
        return table
    return dataclasses.replace(table, rows=[(*row[:-1], row[-1][:LEAST_OF_PROSE]) for row in table.rows])


def _rich(table: Table) -> RichTable:
    drawn = RichTable(header_style="bold")
    for column in table.columns:
        drawn.add_column(column, justify="right" if column in table.numeric else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn

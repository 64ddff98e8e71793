"""Tables of text, built once and drawn by whoever shows them; and how figures are written in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """A titled table of text; ``numeric`` columns are set flush right.

    ``droppable``: the columns that a narrow terminal does without, the first to go first.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: frozenset[str]
    droppable: tuple[str, ...] = ()

    def without(self, column: str) -> Table:
        """The same without a column."""
        at = self.columns.index(column)
        rows = [row[:at] + row[at + 1 :] for row in self.rows]
        return dataclasses.replace(self, columns=self.columns[:at] + self.columns[at + 1 :], rows=rows)


def times(value: float | None) -> str:
    """A ratio, three digits: 1.04x, 12.3x, 120x."""
    return NOTHING if value is None else f"{digits(value)}x"


def times_within(document: dict[str, Any], name: str) -> str:
    """A ratio with its interval, 16.9x [15.1, 18.9]; without one where the run cannot give it."""
    return times_between(document[name], document[f"{name}_ci"])


def times_between(value: float | None, interval: Sequence[float] | None) -> str:
    """The same from the ratio and the ends of its interval."""
    if value is None or interval is None:
        return times(value)
    return f"{times(value)} [{digits(interval[0])}, {digits(interval[1])}]"


def digits(value: float | None) -> str:
    """Three significant digits without an exponent, whole numbers from 100 on."""
    if value is None:
        return NOTHING
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"


def percent(value: float | None) -> str:
    """A share without decimals."""
    return NOTHING if value is None else "0%" if abs(value) < 0.005 else f"{value:.0%}"


def draw_table(table: Table, console: Console) -> None:
    """Print a table; names are shown, never obeyed as markup. What does not fit the terminal's width is left out."""
    # A title of rich's own would be broken to the table's width.
    console.print(table.title, style="bold", markup=False, highlight=False)
    dropped = []
    for column in table.droppable:
        if Measurement.get(console, console.options, _rich(table)).maximum <= console.width:
            break
        table = table.without(column)
        dropped.append(column)
    console.print(_rich(table))
    if dropped:
        left_out = f"(Left out at this width: {', '.join(dropped)}.)"
        console.print(left_out, style="dim", markup=False, highlight=False)


def _rich(table: Table) -> RichTable:
    drawn = RichTable(header_style="bold")
    for column in table.columns:
        drawn.add_column(column, justify="right" if column in table.numeric else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(escape(cell) for cell in row))
    return drawn

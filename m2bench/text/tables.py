"""Tables of text, built once and drawn by whoever shows them; and how figures are written in them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

NOTHING = "-"
UNBOUNDED = 10_000  # columns: wider than any table

NOT_KNOWN = "not known"
MOST_APART = 100.0  # times from one end of an interval to the other
WIDEST_POINTS = 200.0  # the same of shares and differences, which may be 0 or less
DIFFERENCES = ("%", " points")  # their units
NOT_KNOWN_NOTE = (
    f"{NOT_KNOWN}: the ends of its 95 % interval lie more than {MOST_APART:.0f} times (of a share, {WIDEST_POINTS:.0f} "
    "points) apart, so the figure says nothing."
)


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


def is_known(interval: Sequence[float] | None, unit: str = "x") -> bool:
    """Whether an interval says anything of its figure, which is positive but for a share or a difference.

    Where there is none, the figure is shown as what it is: one without an interval.
    """
    if interval is None:
        return True
    low, high = interval
    return high - low <= WIDEST_POINTS if unit in DIFFERENCES else 0 < high <= MOST_APART * low


def times_between(value: float | None, interval: Sequence[float] | None) -> str:
    """The same from the ratio and the ends of its interval."""
    return within(value, interval, "x")


def digits(value: float | None) -> str:
    """Three significant digits without an exponent, whole numbers from 100 on, two digits below 0.1."""
    return NOTHING if value is None else _rounded(value, _decimals(value))


def within(value: float | None, interval: Sequence[float] | None, unit: str = "") -> str:
    """A figure with its 95 % interval, to the digits that the noise allows: two of the half-width, three at most.

    The end of an interval that leaves out 1, no effect, gets the digits that it takes to see that, and one above 0
    those that it takes to see that. A figure whose interval says nothing is not known.
    """
    if value is None:
        return NOTHING
    if interval is None:
        return digits(value) + unit
    if not is_known(interval, unit):
        return NOT_KNOWN
    low, high = interval
    decimals = _decimals(value)
    if high > low:
        decimals = min(decimals, 1 - math.floor(math.log10((high - low) / 2)))
    seen = [0.0] * (unit not in DIFFERENCES) + [1.0] * (not low <= 1 <= high)
    ends = [_apart_from(seen, end, decimals) for end in (low, high)]
    return f"{_rounded(value, decimals)}{unit} [{', '.join(ends)}]"


MOST_DECIMALS = 4  # what is nearer to 1 than that is no effect that anybody would want to see


def _apart_from(others: Sequence[float], value: float, decimals: int) -> str:
    while round(value, decimals) in others and decimals < MOST_DECIMALS:
        decimals += 1
    return _rounded(value, decimals)


def _decimals(value: float) -> int:
    size = abs(value)
    if size >= 100:
        return 0
    if size >= 0.1 or not size:
        return 1 if size >= 10 else 2
    return 1 - math.floor(math.log10(size))


def _rounded(value: float, decimals: int) -> str:
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def percent(value: float | None) -> str:
    """A share without decimals."""
    return NOTHING if value is None else "0%" if abs(value) < 0.005 else f"{value:.0%}"


def percent_within(document: dict[str, Any], name: str) -> str:
    """A share with its interval, 97.3% [96.9, 97.8]; without one where the run cannot give it."""
    value, interval = document[name], document[f"{name}_ci"]
    if value is None or interval is None:
        return percent(value)
    return within(100 * value, [100 * end for end in interval], "%")


def draw_table(table: Table, console: Console) -> None:
    """Print a table; names are shown, never obeyed as markup. What does not fit the terminal's width is left out."""
    # A title of rich's own would be broken to the table's width.
    console.print(table.title, style="bold", markup=False, highlight=False)
    dropped = []
    unbounded = console.options.update(max_width=UNBOUNDED)
    for column in table.droppable:
        if Measurement.get(console, unbounded, _rich(table)).maximum <= console.width:
            break
        table = table.without(column)
        dropped.append(column)
    console.print(_rich(table))
    for note in table.notes:
        console.print(note, style="dim", markup=False, highlight=False)
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

"""Markets from files of candles, in the forms in which the usual sources give them.

File -> table of cells (candle_tables) -> columns (candle_columns) -> numbers and times (candle_cells) -> checks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .candle_cells import NUMBER_ADVICE, decimal_mark, in_quotes, read_numbers, read_times
from .candle_columns import SYMBOL_MARK, Columns, choose_columns
from .candle_tables import Rows, read_table
from .market import PRICES, Floats, Market, MarketError

if TYPE_CHECKING:
    import pandas as pd

EURUSD_CANDLES = 6225

# A price outside of its candle's range: some sources round so, and adjusting for splits leaves the last bits apart.
RANGE_TOLERANCE = 1e-9
MOST_OUT_OF_RANGE = 0.05  # share of the candles; where it is more, the columns are not what they are taken for
FARTHEST_OUT_OF_RANGE = 0.01  # of the price; a price that is farther out is a mistake
COLUMNS_ADVICE = "Check the names and the order of the columns."
SPLIT_RATIO = 1.8  # a 2:1 split on a day that gains 10 %


def read_eurusd_1h() -> Market:
    """6,225 hourly EUR/USD candles of 2017, as carried by the PyPI package gym-anytrading.

    Raises MarketError when the package is not installed or carries other data.
    """
    # The file is found without importing the package, which would pull in its environments.
    from importlib.metadata import PackageNotFoundError, files

    try:
        listed = files("gym-anytrading") or []
    except PackageNotFoundError:
        raise MarketError(
            "data source 'eurusd-1h' needs the package gym-anytrading, which is not installed. "
            "Install it with: pip install 'm2bench[data]'"
        ) from None
    found = [Path(str(f.locate())) for f in listed if f.name == "FOREX_EURUSD_1H_ASK.csv"]
    if not found:
        raise MarketError(
            "the installed gym-anytrading does not carry FOREX_EURUSD_1H_ASK.csv. "
            "Install the tested version with: pip install 'm2bench[data]' -c constraints.txt"
        )
    market = read_file(found[0], name="eurusd-1h")
    if len(market) != EURUSD_CANDLES:
        raise MarketError(
            f"{found[0]} holds {len(market)} candles where {EURUSD_CANDLES} are expected. "
            "Install the tested version with: pip install 'm2bench[data]' -c constraints.txt"
        )
    return market


def read_file(path: Path, symbol: str | None = None, name: str | None = None) -> Market:
    """Read candles from a CSV (any separator and encoding), JSON, Parquet or Feather file, or a .gz or .zip of one.

    Columns are found by their names; a file without names has time, or date and time of day, then open,
    high, low, close and volume. Where there is no volume it is zero. Rows without any price are left out, and rows from
    the newest to the oldest are turned round; the market's remarks say so, and what looks wrong without being
    surely so (docs/decisions/013).

    Raises MarketError naming the file, the first bad row and the remedy; also when the file holds several symbols
    and ``symbol`` is not one of them.
    """
    table = read_table(path)
    columns = choose_columns(table, symbol)
    rows, remarks = Rows(path, columns.prices["close"].index.to_numpy()), list[str]()
    if len(rows.numbers) == 0:
        raise MarketError(f"{path}: the file holds no candles. Give a file with at least one row per candle.")
    values, columns, rows = _numbers(columns, table.separator, rows, remarks)
    time = read_times(columns.times, rows)
    if len(time) > 1 and np.median(np.diff(time)) < 0:
        remarks.append("rows run from the newest to the oldest; they were turned round.")
        time, rows = time[::-1].copy(), rows.take(slice(None, None, -1))
        values = {name: column[::-1].copy() for name, column in values.items()}
    _check_times(time, rows)
    _check_prices(values, rows, remarks)
    shown_name = name or path.name + (f"{SYMBOL_MARK}{symbol}" if symbol else "")
    return Market(name=shown_name, time=time, **values, remarks=tuple(f"{shown_name}: {remark}" for remark in remarks))


def _numbers(
    columns: Columns, separator: str, rows: Rows, remarks: list[str]
) -> tuple[dict[str, Floats], Columns, Rows]:
    """Prices and volume of the rows that have a price, each shape (n,), with what else stands in those rows."""
    mark = decimal_mark(columns.prices, separator, rows)
    values = {name: read_numbers(column, name, mark, rows) for name, column in columns.prices.items()}
    volume = _volume(columns.volumes, mark, rows)
    missing = {name: np.isnan(column) for name, column in values.items()}
    gap = np.logical_and.reduce(list(missing.values()))
    if gap.all():
        raise MarketError(f"{rows.path}: no row holds a price. Give a file with at least one row per candle.")
    cells = dict(columns.prices)
    if volume is None:
        remarks.append("there is no volume, so the volume features are 0 throughout.")
        values["volume"] = np.zeros(len(gap))
    else:
        cells["volume"], values["volume"] = volume
    for name, column in cells.items():
        rows.fail(
            np.isnan(values[name]) & ~gap,
            lambda i, name=name, column=column: f"{name} is {in_quotes(column, i)}, where the row has other prices",  # type: ignore[misc]
            NUMBER_ADVICE,
        )
    if gap.any():
        remarks.append(
            f"rows without any price were left out as gaps: {gap.sum():,} of {len(gap):,}, the first of them row "
            f"{rows.numbers[np.argmax(gap)]}."
        )
    kept = ~gap
    return {name: column[kept] for name, column in values.items()}, columns.take(kept), rows.take(kept)


def _volume(columns: list[pd.Series], mark: str, rows: Rows) -> tuple[pd.Series, Floats] | None:
    """The first column of volume that is not zero or empty throughout."""
    for column in columns:
        values = read_numbers(column, "volume", mark, rows)
        if np.nan_to_num(values).any():
            return column, values
    return None


def _check_times(time: NDArray[np.int64], rows: Rows) -> None:
    step = np.diff(time, prepend=time[0] - 1)
    rows.fail(
        step == 0,
        lambda i: f"the same time as row {rows.numbers[i - 1]}",
        "Remove the duplicate; if the file holds several markets, add a column that names the symbol.",
    )
    rows.fail(step < 0, lambda i: f"earlier than row {rows.numbers[i - 1]}", "Sort the rows by time, oldest first.")


def _check_prices(values: dict[str, Floats], rows: Rows, remarks: list[str]) -> None:
    for name in PRICES:
        rows.fail(
            values[name] <= 0,
            lambda i, name=name: f"{name} is {values[name][i]:g}, but a price must be positive",  # type: ignore[misc]
            NUMBER_ADVICE,
        )
    volume, high, low = values["volume"], values["high"], values["low"]
    rows.fail(volume < 0, lambda i: f"volume is {volume[i]:g}, below zero", NUMBER_ADVICE)
    rows.fail(high < low, lambda i: f"high {high[i]:g} is below low {low[i]:g}", COLUMNS_ADVICE)
    _question_ranges(values, rows, remarks)
    _question_jumps(values, rows, remarks)


def _question_ranges(values: dict[str, Floats], rows: Rows, remarks: list[str]) -> None:
    """A remark on candles that open or close outside of their range; MarketError where they are more than a few."""
    ends = np.stack([values["open"], values["close"]])
    above, below = ends / values["high"] - 1, values["low"] / ends - 1
    excess = np.maximum(above, below).max(axis=0)
    outside = excess > RANGE_TOLERANCE
    if not outside.any():
        return

    def what(i: int) -> str:
        end = int(np.argmax(np.maximum(above, below)[:, i]))
        side, limit = ("above", "high") if above[end, i] > below[end, i] else ("below", "low")
        return f"{('open', 'close')[end]} {ends[end, i]:g} lies {side} {limit} {values[limit][i]:g}"

    share = outside.mean()
    if share > MOST_OUT_OF_RANGE:
        rows.fail(outside, lambda i: f"{what(i)}, and {share:.0%} of the candles are like that", COLUMNS_ADVICE)
    rows.fail(excess > FARTHEST_OUT_OF_RANGE, what, NUMBER_ADVICE)
    first = int(np.argmax(outside))
    remarks.append(
        f"row {rows.numbers[first]}: {what(first)}; {outside.sum():,} of {len(outside):,} candles open or close a "
        "little outside of their range. They are used as they stand."
    )


def _question_jumps(values: dict[str, Floats], rows: Rows, remarks: list[str]) -> None:
    """A remark on prices that jump between two candles and stay there, as at a split."""
    before = np.log(values["close"][:-1])
    at_open, at_close = (np.log(values[name][1:]) - before for name in ("open", "close"))
    jumps = np.flatnonzero((np.minimum(np.abs(at_open), np.abs(at_close)) > np.log(SPLIT_RATIO))
                           & (np.sign(at_open) == np.sign(at_close))) + 1  # fmt: skip
    if len(jumps):
        first = jumps[0]
        was, now = values["close"][first - 1], values["open"][first]
        others = f" ({len(jumps):,} such rows)" if len(jumps) > 1 else ""
        remarks.append(
            f"row {rows.numbers[first]}: between two candles the price goes from {was:g} to {now:g}{others}, as at a "
            "split. Training takes it for a gain or loss; if it was a split, use prices that are adjusted for it."
        )

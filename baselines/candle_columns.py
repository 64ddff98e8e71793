"""From a table of cells to the columns of candles: which column is what, and of which symbol."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .candle_tables import LEAST_CELLS, CandleTable
from .market import COLUMNS, PRICES, MarketError

if TYPE_CHECKING:
    import pandas as pd

# Names as _plain leaves them, the surest first: an epoch time before a written one, real volume before ticks.
NAMES = {
    "time": ("unix", "unix timestamp", "unix time", "epoch", "open time", "opentime", "timestamp", "datetime",
             "date time", "gmt time", "utc time", "local time", "time utc", "date utc", "utc", "time", "date", "t"),
    "open": ("open", "o", "open price"),
    "high": ("high", "h", "high price", "max"),
    "low": ("low", "l", "low price", "min"),
    "close": ("close", "c", "close price", "close last", "last", "price"),
    "volume": ("volume", "vol", "v", "real volume", "tick volume", "tickvol"),
}  # fmt: skip
DATE, TIMES_OF_DAY = "date", ("time", "minute", "hour")
SYMBOL_NAMES = ("symbol", "ticker", "pair", "instrument", "tic", "name")
KNOWN = {name for meaning in COLUMNS[1:] for name in NAMES[meaning]}

TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AP]M)?", re.IGNORECASE)
DAY = re.compile(r"\d{8}")  # beside which a time of day may be written without colons
DIGITS_OF_DAY = re.compile(r"\d{4}|\d{6}")

SYMBOL_MARK = "#"
SYMBOLS_LISTED = 10


@dataclass(frozen=True)
class Columns:
    """Columns of one symbol's candles, as they stand in the file, all with the same index.

    ``times`` is one column, or a date and a time of day. Of ``volumes``, which may be
    empty, the first that is not zero throughout is meant.
    """

    times: list[pd.Series]
    prices: dict[str, pd.Series]
    volumes: list[pd.Series]

    def take(self, chosen: NDArray[np.bool_]) -> Columns:
        """These rows alone."""
        prices = {name: column[chosen] for name, column in self.prices.items()}
        return Columns([c[chosen] for c in self.times], prices, [c[chosen] for c in self.volumes])


def split_symbol(data: str) -> tuple[Path, str | None]:
    """The file and the symbol that ``FILE#SYMBOL`` names; a file whose own name has that mark is meant itself."""
    file, mark, symbol = data.partition(SYMBOL_MARK)
    return (Path(data), None) if not mark or Path(data).exists() else (Path(file), symbol)


def choose_columns(table: CandleTable, symbol: str | None) -> Columns:
    """The columns of ``symbol``, which must be named where the file holds several.

    Raises MarketError for a column that is missing or there twice, and for a symbol that is not there or not named.
    """
    if not table.headings:
        return _by_position(table)
    names = [[_plain(cell) for cell in cells] for cells in table.headings]
    labels = [_label(plain, cells) for plain, cells in zip(names, table.headings, strict=True)]
    cells, label = _of_symbol(table, names, labels, symbol)
    names = [[] if of not in (None, label) else plain for plain, of in zip(names, labels, strict=True)]
    found = {meaning: _columns_named(names, NAMES[meaning]) for meaning in COLUMNS}
    found["volume"] += [i for i, plain in enumerate(names) if any(name.startswith("volume ") for name in plain)]
    times = _times(table, names, found["time"])
    missing = [name for name in ("time", *PRICES) if not (times if name == "time" else found[name])]
    if missing:
        header = ", ".join(" ".join(filter(None, column)) or "(no name)" for column in table.headings)
        raise MarketError(
            f"{table.path}: missing column {', '.join(missing)} (found: {header}). "
            f"The file needs the columns {', '.join(COLUMNS)}, in any case and order; volume may be left out."
        )
    for meaning in PRICES:
        _refuse_twice(table, names, found[meaning][0])
    return Columns(
        [cells[i] for i in times],
        {name: cells[found[name][0]] for name in PRICES},
        [cells[i] for i in dict.fromkeys(found["volume"])],
    )


def _plain(name: str) -> str:
    """Lower case, without marks and a leading number: ``<Open>``, ``1. open`` and ``OPEN`` are ``open``."""
    words = re.sub(r"[\W_]+", " ", name.lower()).strip()
    return re.sub(r"^\d+ (?=[a-z])", "", words)


def _columns_named(names: list[list[str]], wanted: tuple[str, ...]) -> list[int]:
    return [i for name in wanted for i, plain in enumerate(names) if name in plain]


def _refuse_twice(table: CandleTable, names: list[list[str]], column: int) -> None:
    name = next(name for name in names[column] if name in KNOWN)
    if sum(name in plain for plain in names) > 1:
        raise MarketError(f"{table.path}: the column {name} stands there twice. Leave one of each.")


def _times(table: CandleTable, names: list[list[str]], found: list[int]) -> list[int]:
    """The column of times, a column of dates and one of times of day, or none."""
    dates, days = _columns_named(names, (DATE,)), _columns_named(names, TIMES_OF_DAY)
    if dates and days and len(table.cells):
        date, time_of_day = (str(table.cells.loc[:, i].iloc[0]) for i in (dates[0], days[0]))
        if _is_time_of_day(time_of_day, date):
            return [dates[0], days[0]]
    # Above an index without a name there is nothing, or the names of a header's own lines.
    return found[:1] or ([0] if not any(names[0]) or len(names[0]) > 1 else [])


def _is_time_of_day(text: str, date: str) -> bool:
    return bool(TIME_OF_DAY.fullmatch(text) or (DAY.fullmatch(date) and DIGITS_OF_DAY.fullmatch(text)))


def _label(plain: list[str], cells: list[str]) -> str | None:
    """What else stands above a column of prices or volume: the symbol, where a file has a column for each."""
    if not KNOWN & set(plain) or {*NAMES["time"], *SYMBOL_NAMES} & set(plain):
        return None
    return next((cell for name, cell in zip(plain, cells, strict=True) if cell and name not in KNOWN), None)


def _of_symbol(
    table: CandleTable, names: list[list[str]], labels: list[str | None], symbol: str | None
) -> tuple[pd.DataFrame, str | None]:
    """The rows of the symbol, and its label where it has columns of its own."""
    wide = sorted({label for label in labels if label is not None})
    named = [i for i in _columns_named(names, SYMBOL_NAMES) if sum(map(bool, names[i])) == 1]
    rows = table.cells[named[0]].fillna("").astype(str) if named and len(table.cells) else None
    held = wide if rows is None or len(wide) > 1 else sorted(rows.unique())
    if symbol is None and len(held) <= 1:
        return table.cells, wide[0] if wide else None
    if symbol not in held:
        raise MarketError(_choice(table, held, symbol))
    if rows is None or held is wide:
        return table.cells, symbol
    return table.cells[rows == symbol], None


def _choice(table: CandleTable, held: list[str], symbol: str | None) -> str:
    more = f" and {len(held) - SYMBOLS_LISTED} more" if len(held) > SYMBOLS_LISTED else ""
    listed = ", ".join(held[:SYMBOLS_LISTED]) + more
    if not held:
        return (
            f"{table.path}: the file names no symbols, so {symbol} cannot be chosen. Leave out {SYMBOL_MARK}{symbol}."
        )
    wrong = f"holds {len(held)} symbols ({listed})" if symbol is None else f"has no symbol {symbol!r} (found: {listed})"
    return f"{table.path} {wrong}. Choose one, as in --data '{table.path}{SYMBOL_MARK}{held[0]}'."


def _by_position(table: CandleTable) -> Columns:
    """Without a header: time, or date and time of day; open, high, low, close; and volume, where there is more."""
    cells = table.cells
    prices_from = 2 if len(cells.columns) > 1 and _is_time_of_day(str(cells[1].iloc[0]), str(cells[0].iloc[0])) else 1
    if len(cells.columns) < prices_from + len(PRICES):
        raise MarketError(
            f"{table.path}: without names a row needs {', '.join(COLUMNS[:LEAST_CELLS])}, and has "
            f"{len(cells.columns)} cells. Add a line that names the columns."
        )
    prices = {name: cells[prices_from + i] for i, name in enumerate(PRICES)}
    volumes = [cells[i] for i in list(cells.columns)[prices_from + len(PRICES) :][:1]]
    return Columns([cells[i] for i in range(prices_from)], prices, volumes)

"""A market: a validated table of candles, whatever source it came from."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
PRICES = ("open", "high", "low", "close")
COLUMNS = ("time", *PRICES, "volume")
TIME_NAMES = ("time", "date", "datetime", "timestamp", "open_time", "open time")
KLINE_COLUMNS = 12
EURUSD_CANDLES = 6225

# Epoch times below each bound are in that unit (its length in ns); the bounds lie in the year 5138 or later.
EPOCH_UNITS_NS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))

EARLIEST_NS = 315_532_800 * 10**9  # 1980: earlier epoch times are dates or indices mistaken for seconds
TIME_ADVICE = "Use ISO times, dd.mm.yyyy, or epoch seconds, milliseconds or microseconds, the same in every row."


class MarketError(ValueError):
    """The market data cannot be used: what is wrong, where, and what to do next."""


@dataclass(frozen=True)
class Market:
    """Candles in time order.

    ``time`` is UTC nanoseconds, shape (n,), strictly increasing; the prices are finite
    and positive, ``volume`` finite and not negative, each float64 of shape (n,).
    ``deviation`` is the hidden distance of the log price from its fair value; only a
    synthetic market knows it (empty otherwise).
    """

    name: str
    time: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    deviation: Floats = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.close)

    def fingerprint(self) -> str:
        """SHA-256 of every candle, so that two runs can tell whether they saw the same data."""
        digest = hashlib.sha256()
        for name in COLUMNS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()


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


def read_file(path: Path, name: str | None = None) -> Market:
    """Read candles from a CSV, Parquet or Binance kline file.

    Columns are found by name in any case; a file without a header is taken for a Binance
    kline file when it has its 12 columns. Times may be ISO, day-first with dots, or epoch
    seconds, milliseconds or microseconds.

    Raises MarketError naming the file and the first bad row.
    """
    table = _read_table(path)
    table = _name_columns(table, path)
    if len(table) == 0:
        raise MarketError(f"{path}: the file holds no candles. Give a file with at least one row per candle.")
    rows = _Rows(path, numbers=table.index.to_numpy())
    columns = {name: _numbers(table[name], name, rows) for name in (*PRICES, "volume")}
    time = _times(table["time"], rows)
    _check_candles(columns, time, rows)
    return Market(name=name or path.name, time=time, **columns)


@dataclass(frozen=True)
class _Rows:
    """Names the place of a bad value: the file and the row counted as an editor counts lines."""

    path: Path
    numbers: NDArray[np.int64]  # (n,)

    def fail(self, bad: NDArray[np.bool_], message: Callable[[int], str], advice: str) -> None:
        """Raise for the first True in ``bad``, shape (n,); return when there is none."""
        if bad.any():
            index = int(np.argmax(bad))
            raise MarketError(f"{self.path}, row {self.numbers[index]}: {message(index)}. {advice}")


def _read_table(path: Path) -> pd.DataFrame:
    """The table as it stands in the file, indexed by row number as an editor counts lines."""
    import pandas as pd

    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
            if table.index.name is not None:
                table = table.reset_index()
            table.index = pd.RangeIndex(1, len(table) + 1)
            return table
        # Everything is read as text first: a bad cell must be reported with its row.
        table = pd.read_csv(path, header=None, dtype=str, skipinitialspace=True, keep_default_na=False,
                           skip_blank_lines=False)  # fmt: skip
    except FileNotFoundError:
        raise MarketError(
            f"data file not found: {path}. Give an existing CSV or Parquet file, 'synthetic', or 'eurusd-1h'."
        ) from None
    except ImportError:
        raise MarketError(f"{path}: reading Parquet needs pyarrow. Install it with: pip install pyarrow") from None
    except pd.errors.EmptyDataError:
        raise MarketError(f"{path}: the file is empty. Give a file with a header and one row per candle.") from None
    except (OSError, ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MarketError(f"{path}: cannot be read as a table of candles ({reason}). Check the file.") from None
    return _take_header(table)


def _take_header(text: pd.DataFrame) -> pd.DataFrame:
    text.index = text.index + 1
    filled = text[(text != "").any(axis=1)]  # blank lines are counted, not read
    if len(filled) == 0:
        return filled
    first = [str(cell).strip() for cell in filled.iloc[0]]
    if _is_number(first[0]) and len(first) == KLINE_COLUMNS:
        filled.columns = [*COLUMNS, *(f"kline_{i}" for i in range(len(COLUMNS), KLINE_COLUMNS))]
        return filled
    body = filled.iloc[1:].copy()
    body.columns = first
    return body


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _name_columns(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keep the six candle columns, under their lower-case names."""
    lower = [str(column).strip().lower() for column in table.columns]
    twice = sorted({name for name in lower if name in COLUMNS and lower.count(name) > 1})
    if twice:
        raise MarketError(f"{path}: the column {', '.join(twice)} stands there twice. Leave one of each.")
    by_lower = dict(zip(lower, table.columns, strict=True))
    time = next((by_lower[name] for name in TIME_NAMES if name in by_lower), None)
    wanted = {"time": time, **{name: by_lower.get(name) for name in COLUMNS[1:]}}
    missing = [name for name, column in wanted.items() if column is None]
    if missing:
        found = ", ".join(str(column) for column in table.columns) or "none"
        raise MarketError(
            f"{path}: missing column {', '.join(missing)} (found: {found}). "
            "The file needs the columns time, open, high, low, close, volume, in any case and order."
        )
    named = table[list(wanted.values())].copy()
    named.columns = list(wanted)
    return named


def _numbers(column: pd.Series, name: str, rows: _Rows) -> Floats:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    rows.fail(
        ~np.isfinite(values),
        lambda i: f"{name} is {str(column.iloc[i]).strip() or 'empty'!r}, not a finite number",
        "Remove or correct that row.",
    )
    return values


def _times(column: pd.Series, rows: _Rows) -> NDArray[np.int64]:
    """Nanoseconds since 1970, UTC, shape (n,)."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = pd.to_datetime(column, utc=True)
    else:
        epoch = pd.to_numeric(column, errors="coerce")
        parsed = _epoch_times(column, epoch, rows) if epoch.notna().mean() > 0.5 else _written_times(column)
    rows.fail(
        parsed.isna().to_numpy(),
        lambda i: f"time is {column.iloc[i]!r}, which is no known time",
        TIME_ADVICE,
    )
    nanoseconds = parsed.dt.tz_convert(None).to_numpy(dtype="datetime64[ns]").astype(np.int64)
    rows.fail(
        nanoseconds < EARLIEST_NS,
        lambda i: f"time {column.iloc[i]!r} reads as {parsed.iloc[i]:%Y-%m-%d}, before any market that is meant here",
        TIME_ADVICE,
    )
    return nanoseconds


def _epoch_times(column: pd.Series, epoch: pd.Series, rows: _Rows) -> pd.Series:
    import pandas as pd

    values = epoch.to_numpy(dtype=np.float64)
    bounds = np.array([bound for bound, _ in EPOCH_UNITS_NS], dtype=np.float64)
    rows.fail(
        ~(np.abs(values) < bounds[-1]),
        lambda i: f"time is {str(column.iloc[i]).strip() or 'empty'!r}, which is no known time",
        TIME_ADVICE,
    )
    unit = np.searchsorted(bounds, np.abs(values), side="right")
    rows.fail(
        unit != unit[0],
        lambda i: f"time {column.iloc[i]!r} is in another unit than the first row's",
        "Use one of epoch seconds, milliseconds or microseconds throughout.",
    )
    return pd.to_datetime((epoch * EPOCH_UNITS_NS[unit[0]][1]).astype("int64"), unit="ns", utc=True)


def _written_times(column: pd.Series) -> pd.Series:
    import pandas as pd

    text = column.astype(str).str.strip()
    day_first = text.str.match(r"^\d{1,2}\.\d{1,2}\.\d{4}").mean() > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pandas remarks on formats it has to guess
        if day_first:
            return pd.to_datetime(text, dayfirst=True, utc=True, errors="coerce")
        return pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")


def _check_candles(columns: dict[str, Floats], time: NDArray[np.int64], rows: _Rows) -> None:
    for name in PRICES:
        values = columns[name]
        rows.fail(
            values <= 0,
            lambda i, name=name, values=values: f"{name} is {values[i]:g}, but a price must be positive",  # type: ignore[misc]
            "Remove or correct that row.",
        )
    volume = columns["volume"]
    rows.fail(volume < 0, lambda i: f"volume is {volume[i]:g}, below zero", "Remove or correct that row.")
    high, low = columns["high"], columns["low"]
    rows.fail(high < low, lambda i: f"high {high[i]:g} is below low {low[i]:g}", "Check the column names of that file.")
    step = np.diff(time, prepend=time[0] - 1)
    rows.fail(step == 0, lambda i: "the same time as the row before", "Remove the duplicate.")
    rows.fail(step < 0, lambda i: "earlier than the row before", "Sort the rows by time, oldest first.")

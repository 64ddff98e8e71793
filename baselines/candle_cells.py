"""What cells mean: numbers and times as people and programs write them."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .candle_tables import Rows
from .market import DAY_NS, Floats

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "-", "nan", "null", "none", "na", "n/a", "#n/a", "<na>", "nat")
CURRENCY = r"[$€£¥]"
FACTORS = {"k": "e3", "m": "e6", "b": "e9"}
POINT, COMMA = ".", ","
# A comma before exactly three digits may mark thousands or decimals. Who separates cells by commas writes a decimal
# point; a semicolon is what spreadsheets take where the comma marks decimals.
DECIMAL_OF_SEPARATOR = {",": POINT, ";": COMMA}
NUMBER_ADVICE = "Remove or correct that row."

# Epoch times below each bound are in that unit (its length in ns); the bounds lie in the year 5138 or later.
EPOCH_UNITS_NS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))
EARLIEST_NS = 315_532_800 * 10**9  # 1980: earlier epoch times are dates or indices mistaken for seconds
TIME_ADVICE = (
    "Use ISO times, dd.mm.yyyy, or epoch seconds, milliseconds, microseconds or nanoseconds, the same in every row."
)
SAMPLE = 100  # rows that show how times are written

ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)? ?(Z|[+-]\d\d:?\d\d)?)?")
COMPACT = re.compile(r"(19|20)\d{6}(\d{4}|\d{6})?")  # yyyymmdd, and hours, minutes and seconds
YEAR_LAST = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d\d\b)")
ISO_HOUR = re.compile(r"\d{4}-\d\d-\d\d \d\d-[AP]M")
ISO_FORMAT, HOUR_FORMAT = "ISO8601", "%Y-%m-%d %I-%p"
LONGEST_PAUSE_NS = 14 * DAY_NS  # of a market that trades within days


def decimal_mark(prices: dict[str, pd.Series], separator: str, rows: Rows) -> str:
    """What marks decimals in this file, by all prices that are no plain numbers.

    Raises MarketError where a comma may mark decimals as well as thousands.
    """
    import pandas as pd

    written = [cells for column in prices.values() if len(cells := _not_plain(column))]
    if not written:
        return POINT
    text = pd.concat(written)
    text = text[text.str.contains(COMMA, regex=False)]
    if text.empty:
        return POINT
    both = text[text.str.contains(POINT, regex=False)]
    if len(both):
        cell = str(both.iloc[0])
        return COMMA if cell.rindex(COMMA) > cell.rindex(POINT) else POINT
    if text.str.count(COMMA).max() > 1:
        return POINT
    if not text.str.fullmatch(r"[-+$€£¥]?[1-9]\d{0,2},\d{3}").all():
        return COMMA
    if separator in DECIMAL_OF_SEPARATOR:
        return DECIMAL_OF_SEPARATOR[separator]
    raise rows.error(
        0,
        f"the comma in {text.iloc[0]!r} may mark decimals or thousands, as in all prices of this file",
        "Write decimals with a point, and no mark for thousands.",
    )


def _not_plain(column: pd.Series) -> pd.Series:
    """The cells that hold something else than a plain number, as text."""
    import pandas as pd

    return column[pd.to_numeric(column, errors="coerce").isna()].astype(str)


def read_numbers(column: pd.Series, name: str, mark: str, rows: Rows) -> Floats:
    """The numbers in a column, shape (n,), NaN where a cell says that there is none.

    Raises MarketError for a cell that is no finite number.
    """
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    unread = np.isnan(values) if mark == POINT else np.ones(len(values), dtype=np.bool_)
    bad = np.isinf(values)
    if unread.any():
        # What pandas itself takes for missing, as in Parquet and JSON, is none of its texts.
        text = column[unread].astype(object).where(column[unread].notna(), "").astype(str).str.strip().str.lower()
        values[unread] = _written_numbers(text, mark)
        bad[unread] = ~np.isfinite(values[unread]) & ~text.isin(MISSING).to_numpy()
    rows.fail(bad, lambda i: f"{name} is {in_quotes(column, i)}, not a finite number", NUMBER_ADVICE)
    return values


def in_quotes(column: pd.Series, i: int) -> str:
    """A cell as it stands in the file, in quotes."""
    cell = "" if column.isna().iloc[i] else str(column.iloc[i])
    return repr(cell.strip() or "empty")


def _written_numbers(text: pd.Series, mark: str) -> Floats:
    """Numbers with marks for thousands, a currency, or K, M, B behind them; NaN where a cell is none, shape (n,)."""
    import pandas as pd

    thousands = "'\u2019\u00a0\u202f " + (POINT if mark == COMMA else COMMA)
    pattern = rf"[-+]?(\d{{1,3}}([{thousands}]\d{{3}})+|\d+)([{mark}]\d+)?(e[-+]?\d+)?"
    text = text.str.replace(CURRENCY, "", regex=True)
    for letter, factor in FACTORS.items():
        text = text.str.replace(f"{letter}$", factor, regex=True)
    plain = text.str.replace(f"[{thousands}]", "", regex=True).str.replace(mark, POINT, regex=False)
    numbers = pd.to_numeric(plain.where(text.str.fullmatch(pattern)), errors="coerce")
    return numbers.to_numpy(dtype=np.float64)


def read_times(columns: list[pd.Series], rows: Rows) -> NDArray[np.int64]:
    """Nanoseconds since 1970, UTC, shape (n,), of a column of times, or of dates and times of day.

    Raises MarketError for a cell that is no time, and for dates that could be day first as well as month first.
    """
    import pandas as pd

    column = columns[0]
    if len(columns) > 1:
        column = column.astype(str).str.strip() + " " + columns[1].astype(str).str.strip()
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = pd.to_datetime(column, utc=True)
    elif _is_epoch(column):
        parsed = _epoch_times(column, rows)
    else:
        parsed = _written_times(column.astype(str).str.strip(), rows)
    rows.fail(
        parsed.isna().to_numpy(),
        lambda i: f"time is {in_quotes(column, i)}, which is no known time",
        TIME_ADVICE,
    )
    rows.fail(
        ~parsed.between(pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC")).to_numpy(),
        lambda i: f"time {in_quotes(column, i)} is not between the years 1678 and 2261",
        "Give times of the Gregorian calendar.",
    )
    return _nanoseconds(parsed)


def _nanoseconds(times: pd.Series) -> NDArray[np.int64]:
    nanoseconds: NDArray[np.int64] = times.dt.tz_convert(None).to_numpy(dtype="datetime64[ns]").astype(np.int64)
    return nanoseconds


def _is_epoch(column: pd.Series) -> bool:
    import pandas as pd

    sample = column.head(SAMPLE)
    numbers = pd.to_numeric(sample, errors="coerce").notna()
    return bool((numbers & ~sample.astype(str).str.fullmatch(COMPACT)).mean() > 0.5)


def _epoch_times(column: pd.Series, rows: Rows) -> pd.Series:
    import pandas as pd

    epoch = pd.to_numeric(column, errors="coerce")
    values = epoch.to_numpy(dtype=np.float64)
    bounds = np.array([bound for bound, _ in EPOCH_UNITS_NS], dtype=np.float64)
    rows.fail(
        ~(np.abs(values) < bounds[-1]),
        lambda i: f"time is {in_quotes(column, i)}, which is no known time",
        TIME_ADVICE,
    )
    unit = np.searchsorted(bounds, np.abs(values), side="right")
    rows.fail(
        unit != unit[0],
        lambda i: f"time {in_quotes(column, i)} is in another unit than the first row's",
        "Use one of epoch seconds, milliseconds, microseconds or nanoseconds throughout.",
    )
    parsed = pd.to_datetime((epoch * EPOCH_UNITS_NS[unit[0]][1]).astype("int64"), unit="ns", utc=True)
    rows.fail(
        _nanoseconds(parsed) < EARLIEST_NS,
        lambda i: (
            f"time {in_quotes(column, i)} reads as {parsed.iloc[i]:%Y-%m-%d}, before any market that is meant here"
        ),
        TIME_ADVICE,
    )
    return parsed


def _written_times(text: pd.Series, rows: Rows) -> pd.Series:
    import pandas as pd

    formats = _formats(text.head(SAMPLE))
    readings = [pd.to_datetime(text, format=form, utc=True, errors="coerce") for form in formats]
    if not readings:
        return pd.to_datetime(pd.Series(pd.NaT, index=text.index), utc=True)
    return readings[0] if len(readings) == 1 else _day_or_month(text, readings, rows)


def _formats(sample: pd.Series) -> list[str]:
    """How these times are written; two formats where the first number may be the day or the month, none if unknown."""
    from pandas.tseries.api import guess_datetime_format

    for cell in sample:
        if ISO.fullmatch(cell):
            return [ISO_FORMAT]
        if ISO_HOUR.fullmatch(cell):
            return [HOUR_FORMAT]
        year_last = YEAR_LAST.match(cell)
        if year_last and len(year_last[2]) < 4:
            continue  # it may be the day as well
        # With dots the day comes first; with other marks it depends on the country.
        first = ((True,) if year_last[1] == "." else (True, False)) if year_last else (False,)
        padded = re.sub(r"\b\d\b", r"0\g<0>", cell)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pandas remarks on days that can be no months
            guessed = [guess_datetime_format(padded, dayfirst=day_first) for day_first in first]
        if known := [form for form in guessed if form is not None]:
            return list(dict.fromkeys(known))
    return []


def _day_or_month(text: pd.Series, readings: list[pd.Series], rows: Rows) -> pd.Series:
    """Which of two readings is meant, by all rows: the one that reads more of them, or the one in which time runs in
    order, or, of candles within days, the one in which the market does not stand still for weeks.
    """
    unread = [int(reading.isna().sum()) for reading in readings]
    times = [reading.dropna() for reading in readings]
    disorder = [not (read.is_monotonic_increasing or read.is_monotonic_decreasing) for read in times]
    steps = [np.abs(np.diff(_nanoseconds(read))) for read in times]
    within_days = all(len(step) and step.min() < DAY_NS for step in steps)
    pauses = [within_days and step.max() > LONGEST_PAUSE_NS for step in steps]
    for faults in (unread, disorder, pauses):
        if faults[0] != faults[1]:
            return readings[int(np.argmin(faults))]
    raise rows.error(
        0,
        f"the date {text.iloc[0]!r} may be day first or month first, as may all dates of this file",
        "Write dates with the year first, as in 2023-01-31, or with dots where the day comes first, as in 31.01.2023.",
    )

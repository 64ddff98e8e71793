"""Candle files: every accepted form gives the same market, every bad one a message with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m2bench.baselines.candle_files import read_eurusd_1h, read_file
from m2bench.baselines.market import MarketError

HOUR_NS = 3600 * 10**9
START = pd.Timestamp("2017-01-01 22:00", tz="UTC")
ROWS = [(1.0, 1.2, 0.9, 1.1, 10.0), (1.1, 1.3, 1.0, 1.2, 0.0), (1.2, 1.25, 1.1, 1.15, 5.5)]
TIMES = [START + pd.Timedelta(hours=i) for i in range(len(ROWS))]


def csv_text(times: list[str], header: str = "time,open,high,low,close,volume") -> str:
    lines = [f"{t},{','.join(map(str, row))}" for t, row in zip(times, ROWS, strict=True)]
    return "\n".join([header, *lines]) + "\n"


def kline_text(unit_ns: int, header: str | None = None) -> str:
    lines = [
        f"{t.value // unit_ns},{o},{h},{lo},{c},{v},{(t.value + HOUR_NS) // unit_ns - 1},1,2,3,4,0"
        for t, (o, h, lo, c, v) in zip(TIMES, ROWS, strict=True)
    ]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
FORMS = {
    "iso": csv_text([t.isoformat() for t in TIMES]),
    "iso without zone": csv_text([t.strftime("%Y-%m-%d %H:%M:%S") for t in TIMES]),
    "day first": csv_text([t.strftime("%d.%m.%Y %H:%M:%S.000") for t in TIMES]),
    "epoch s": csv_text([str(t.value // 10**9) for t in TIMES]),
    "epoch ms": csv_text([str(t.value // 10**6) for t in TIMES]),
    "epoch us": csv_text([str(t.value // 10**3) for t in TIMES]),
    "upper case": csv_text([t.isoformat() for t in TIMES], "Time,OPEN,High,LOW,Close,Volume"),
    "spaces": csv_text([t.isoformat() for t in TIMES], "time, open, high, low, close, volume").replace(",", ", "),
    "called date": csv_text([t.isoformat() for t in TIMES], "Date,open,high,low,close,volume"),
    "kline ms": kline_text(10**6),
    "kline us": kline_text(10**3),
    "no header": "\n".join(csv_text([t.isoformat() for t in TIMES]).splitlines()[1:]),
    "kline with header": kline_text(10**6, KLINE_HEADER),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_csv_gives_the_same_market(form: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(FORMS[form])
    market = read_file(path)
    assert market.time.tolist() == [t.value for t in TIMES]
    columns = np.stack([market.open, market.high, market.low, market.close, market.volume], axis=1)
    assert columns.tolist() == [list(row) for row in ROWS]


@pytest.mark.parametrize("time", ["datetime", "epoch", "index"])
def test_parquet_gives_the_same_market(time: str, tmp_path: Path) -> None:
    table = pd.DataFrame(ROWS, columns=["Open", "High", "Low", "Close", "Volume"])
    table.insert(0, "Time", [t.value // 10**6 for t in TIMES] if time == "epoch" else TIMES)
    path = tmp_path / "candles.parquet"
    (table.set_index("Time") if time == "index" else table).to_parquet(path)
    market = read_file(path)
    assert market.time.tolist() == [t.value for t in TIMES]
    assert market.close.tolist() == [row[3] for row in ROWS]


def test_the_first_of_a_day_first_file_is_not_a_month() -> None:
    """03.02.2017 is the third of February."""
    market = read_eurusd_1h()
    assert len(market) == 6225
    dates = market.time.astype("datetime64[ns]").astype("datetime64[D]")
    assert str(dates[0]) == "2017-01-01"
    assert str(dates[-1]) == "2017-12-29"
    assert (np.diff(market.time) > 0).all()


GOOD = FORMS["iso"].splitlines()


def with_cell(row: int, column: int, value: str) -> str:
    """The good file with one cell replaced; row counts as an editor does."""
    lines = [line.split(",") for line in GOOD]
    lines[row - 1][column] = value
    return "\n".join(",".join(line) for line in lines) + "\n"


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "empty"),
    "header only": (GOOD[0] + "\n", "holds no candles"),
    "missing column": (FORMS["iso"].replace("close", "tip"), "missing column close (found: time, open, high, low, tip"),
    "NaN": (with_cell(3, 4, "nan"), "row 3: close is 'nan'"),
    "empty cell": (with_cell(3, 1, ""), "row 3: open is 'empty'"),
    "infinite": (with_cell(2, 2, "inf"), "row 2: high is 'inf'"),
    "text": (with_cell(4, 3, "cheap"), "row 4: low is 'cheap'"),
    "zero": (with_cell(3, 3, "0"), "row 3: low is 0, but a price must be positive"),
    "negative": (with_cell(2, 4, "-1"), "row 2: close is -1, but a price must be positive"),
    "negative volume": (with_cell(2, 5, "-1"), "row 2: volume is -1"),
    "high below low": (with_cell(2, 2, "0.5"), "row 2: high 0.5 is below low 0.9"),
    "unsorted": ("\n".join([GOOD[0], GOOD[2], GOOD[1], GOOD[3]]), "row 3: earlier than row 2"),
    "duplicate": ("\n".join([GOOD[0], GOOD[1], GOOD[1], GOOD[3]]), "row 3: the same time as row 2"),
    "bad time": (with_cell(3, 0, "yesterday"), "row 3: time is 'yesterday'"),
    "blank lines before": (with_cell(3, 3, "0").replace("\n", "\n\n", 1), "row 4: low is 0"),
    "column twice": ("\n".join(f"{line},{line.split(',')[4]}" for line in GOOD), "close stands there twice"),
    "infinite time": (with_cell(3, 0, "inf"), "row 3: time is 'inf'"),
    "empty epoch": (FORMS["epoch s"].replace(str(TIMES[1].value // 10**9), ""), "row 3: time is 'empty'"),
    "huge epoch": (FORMS["epoch s"].replace(str(TIMES[1].value // 10**9), "1e30"), "row 3: time is '1e30'"),
    "mixed units": (
        FORMS["epoch ms"].replace(str(TIMES[2].value // 10**6), str(TIMES[2].value // 10**3)),
        "row 4: time '1483315200000000' is in another unit",
    ),
    "row numbers as times": (csv_text(["1", "2", "3"]), "row 2: time '1' reads as 1970-01-01"),
    "ragged": ("\n".join([*GOOD, "1,2,3,4,5,6,7,8,9"]), "cannot be read as a table"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x00", "cannot be read as a table"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_name_and_row(case: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MarketError) as error:
        read_file(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(FORMS["iso"].replace("\n", "\n\n") + "\n\n")
    assert read_file(path).close.tolist() == [row[3] for row in ROWS]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketError, match="not found"):
        read_file(tmp_path / "none.csv")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(MarketError, match="cannot be read as a table"):
        read_file(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketError, match="cannot be read"):
        read_file(tmp_path)


def test_two_markets_that_differ_in_one_candle_have_other_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(FORMS["iso"])
    one = read_file(path)
    path.write_text(with_cell(3, 5, "0.001"))
    assert one.fingerprint() != read_file(path).fingerprint()

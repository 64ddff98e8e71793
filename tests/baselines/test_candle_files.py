"""Candle files as the usual sources export them: each form of one known market gives that market back."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from m2bench.baselines.candle_columns import split_symbol
from m2bench.baselines.candle_files import read_file
from m2bench.baselines.features import candle_features
from m2bench.baselines.market import PRICES, Market, MarketError

HOURS = 400  # from the 2nd to the 18th: days that can be months, and days that can not
START = pd.Timestamp("2023-01-02", tz="UTC")


def known(price: float = 1.1, seed: int = 0, step: str = "h") -> pd.DataFrame:
    """A walk of candles with 5 decimals and whole volumes; time is that of the opening, UTC."""
    random = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(random.normal(0, 2e-3, HOURS)))
    opened = np.concatenate(([price], close[:-1]))
    high, low = np.maximum(opened, close) * 1.0007, np.minimum(opened, close) * 0.9993
    prices = {"open": opened, "high": high, "low": low, "close": close}
    return pd.DataFrame({
        "time": pd.date_range(START, periods=HOURS, freq=step),
        **{name: values.round(5) for name, values in prices.items()},
        "volume": random.integers(1, 9_000_000, HOURS).astype(float),
    })  # fmt: skip


def market_of(frame: pd.DataFrame, **changes: Any) -> Market:
    columns: dict[str, Any] = {
        name: frame[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close", "volume")
    }
    time = np.array([t.value for t in frame["time"]], dtype=np.int64)
    return replace(Market("known", time, **columns), **changes)


FRAME = known()
TIMES = FRAME["time"]
EPOCH_S = [t.value // 10**9 for t in TIMES]
NAMES = "open,high,low,close,volume"
NO_VOLUME = {"volume": np.zeros(HOURS)}
CLOSE = FRAME["close"].to_numpy()


def number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def comma(value: float) -> str:
    return number(value).replace(".", ",")


def text(times: list[object], header: str = "", separator: str = ",", columns: str = NAMES, more: str = "",
         write: Callable[[float], str] = number, frame: pd.DataFrame = FRAME) -> str:  # fmt: skip
    """Lines of candles under ``header``: a time, ``columns`` of the frame, and ``more``."""
    table = frame[columns.split(",")].to_numpy()
    lines = [separator.join([str(t), *map(write, row)]) + more for t, row in zip(times, table, strict=True)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def written(form: str) -> list[object]:
    return [t.strftime(form) for t in TIMES]


def newest_first(content: str, headers: int) -> str:
    lines = content.splitlines()
    return "\n".join([*lines[:headers], *reversed(lines[headers:])]) + "\n"


def klines(unit: int) -> str:
    ends = [f",{(s + 3600) * unit - 1},10,20,30,40,0" for s in EPOCH_S]
    lines = text([s * unit for s in EPOCH_S]).splitlines()
    return "\n".join(line + end for line, end in zip(lines, ends, strict=True)) + "\n"


KLINE_HEADER = ("open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
                "taker_buy_quote_volume,ignore\n")  # fmt: skip
BINANCE_KAGGLE = ("Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,"
                  "Taker buy base asset volume,Taker buy quote asset volume,Ignore\n")  # fmt: skip
YFINANCE = "Price,Close,High,Low,Open,Volume\nTicker" + ",EURUSD=X" * 5 + "\nDatetime,,,,,"
CDD = ("https://www.CryptoDataDownload.com\n"
       "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD")  # fmt: skip


def thousands(value: float) -> str:
    return f"{value:,.5f}" if value != int(value) else f"{int(value):,}"


def quoted(write: Callable[[float], str]) -> Callable[[float], str]:
    return lambda value: f'"{write(value)}"'


def german(value: float) -> str:
    return thousands(value).translate(str.maketrans(",.", ".,"))


def suffixed(value: float) -> str:
    return f"{value / 1e6:.6f}M" if value >= 1e6 else f"{value / 1e3:.3f}K" if value >= 1e3 else number(value)


INVESTING = "\n".join(
    ['"Date","Price","Open","High","Low","Vol.","Change %"']
    + [f'"{t:%m/%d/%Y %H:%M}","{c}","{o}","{h}","{lo}","{suffixed(v)}","-0.12%"'
       for t, o, h, lo, c, v in FRAME.itertuples(index=False)]
)  # fmt: skip

# What one known market looks like as each source writes it.
SOURCES: dict[str, str] = {
    "Binance klines, ms": klines(10**3),
    "Binance klines, us": klines(10**6),
    "Binance futures with header, us": KLINE_HEADER + klines(10**6),
    "Binance from Kaggle": BINANCE_KAGGLE + klines(10**3),
    "CryptoDataDownload": newest_first(
        text([f"{s},{t:%Y-%m-%d %H:%M:%S},BTC/USD" for s, t in zip(EPOCH_S, TIMES, strict=True)], CDD, more=",1"), 2
    ),
    "CryptoDataDownload, AM and PM": newest_first(
        text(written("%Y-%m-%d %I-%p"), "https://www.CryptoDataDownload.com\nDate," + NAMES), 2
    ),
    "Yahoo": text(written("%Y-%m-%d %H:%M"), "Date,Open,High,Low,Close,Adj Close,Volume",
                  columns="open,high,low,close,open,volume"),
    "yfinance, three lines of header": text(written("%Y-%m-%d %H:%M:%S+00:00"), YFINANCE,
                                            columns="close,high,low,open,volume"),
    "Dukascopy": text(written("%d.%m.%Y %H:%M:%S.000"), "Gmt time,Open,High,Low,Close,Volume"),
    "Dukascopy, local time": text(
        [f"{t + pd.Timedelta(hours=2):%d.%m.%Y %H:%M:%S.000} GMT+0200" for t in TIMES], "Local time," + NAMES
    ),
    "HistData, metatrader": text(written("%Y.%m.%d,%H:%M")),
    "MT4": text(written("%Y.%m.%d,%H:%M")),
    "MT5": text(written("%Y.%m.%d\t%H:%M:%S"),
                "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>", "\t", more="\t0\t3"),
    "MT5 from Python": text(EPOCH_S, "time,open,high,low,close,tick_volume,spread,real_volume", more=",2,0"),
    "TradingView, epoch": text(EPOCH_S, "time,open,high,low,close,Volume,Volume MA", more=",12.5"),
    "TradingView, ISO": text(written("%Y-%m-%dT%H:%M:%SZ"), "time,open,high,low,close,Volume,Volume MA", more=",NaN"),
    "Investing.com": newest_first(INVESTING, 1),
    "Alpha Vantage": newest_first(text(written("%Y-%m-%d %H:%M:%S"), "timestamp," + NAMES), 1),
    "Alpha Vantage from pandas": text(written("%Y-%m-%d %H:%M:%S"),
                                      "date,1. open,2. high,3. low,4. close,5. volume"),
    "Kraken OHLCVT": text(EPOCH_S, more=",17"),
    "Coinbase": newest_first(text(EPOCH_S, "time,low,high,open,close,volume", columns="low,high,open,close,volume"), 1),
    "Polygon": text([f"1,1.1,{s}000" for s in EPOCH_S], "n,vw,t,o,h,l,c,v"),
    "IEX": text(written("%Y-%m-%d,%H:%M,%I:%M %p"), "date,minute,label,high,low,open,close,volume",
                columns="high,low,open,close,volume"),
    "Bitstamp from Kaggle": text(EPOCH_S, "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price",
                                 more=",1,1.1"),
    "Finam and Stooq in bulk": text([f"EURUSD,60,{t:%Y%m%d,%H%M%S}" for t in TIMES],
                                    "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"),
    "Nasdaq": newest_first(text(written("%m/%d/%Y %H:%M"), "Date,Close/Last,Volume,Open,High,Low",
                                columns="close,volume,open,high,low", write=lambda value: "$" + number(value)), 1),
    "pandas, index without a name": text(written("%Y-%m-%d %H:%M:%S"), ",Open,High,Low,Close,Volume"),
    "pandas, numbered rows": text([f"{i},{s}" for i, s in enumerate(EPOCH_S)], ",time," + NAMES),
    "R, row names without a heading": text([f'"{i}" "{s}"' for i, s in enumerate(EPOCH_S)],
                                           f'"time" {NAMES.replace(",", " ")}', " "),
}  # fmt: skip

# One kind of writing at a time, in a file that is else plain.
KINDS: dict[str, str] = {
    "semicolons": text(EPOCH_S, "time;open;high;low;close;volume", ";"),
    "tabs": text(EPOCH_S, "time\topen\thigh\tlow\tclose\tvolume", "\t"),
    "bars": text(EPOCH_S, "time|open|high|low|close|volume", "|"),
    "spaces": text(EPOCH_S, "time open  high low close volume", "  "),
    "spaces and decimal commas": text(written("%Y-%m-%d %H:%M"), "Date Time Open High Low Close Vol", " ", write=comma),
    "decimal commas": text(written("%d.%m.%Y %H:%M"), "Date;Open;High;Low;Close;Volume", ";", write=comma),
    "decimal commas in quotes": text(EPOCH_S, "time," + NAMES, write=quoted(comma)),
    "a separator at each end": text(EPOCH_S, "time," + NAMES, more=","),
    "remarks first": text(EPOCH_S, "# made by me\n\n# on a Monday, for us\ntime," + NAMES),
    "US dates": text(written("%m/%d/%Y %H:%M"), "Date," + NAMES),
    "US dates, AM and PM": text([f"{t.month}/{t.day}/{t.year} {t.strftime('%I').lstrip('0')}:00:00 {t:%p}"
                                 for t in TIMES], "Date," + NAMES),
    "British dates": text(written("%d/%m/%Y %H:%M"), "Date," + NAMES),
    "dashed dates": text(written("%d-%m-%Y %H:%M"), "Date," + NAMES),
    "month names": text(written('"%b %d, %Y %H:%M"'), "Date," + NAMES),
    "slashes, year first": text(written("%Y/%m/%d %H:%M"), "Date," + NAMES),
    "dates as numbers": text(written("%Y%m%d%H%M"), "Date," + NAMES),
    "dates and minutes as numbers": text(written("%Y%m%d,%H%M"), "Date,Time," + NAMES),
    "with a zone": text(written("%Y-%m-%d %H:%M:%S UTC"), "Date," + NAMES),
    "zone that changes": text([(t.tz_convert("Europe/Berlin") + pd.Timedelta(0)).isoformat() for t in TIMES],
                              "Date," + NAMES),
    "epoch ns": text([s * 10**9 for s in EPOCH_S], "time," + NAMES),
    "epoch s with a point": text([f"{s}.0" for s in EPOCH_S], "time," + NAMES),
    "Windows lines": text(EPOCH_S, "time," + NAMES).replace("\n", "\r\n"),
}  # fmt: skip


DEAR = known(price=43_250.0, seed=2)
THOUSANDS: dict[str, str] = {
    "commas": text(EPOCH_S, "time," + NAMES, write=quoted(thousands), frame=DEAR),
    "points": text(EPOCH_S, "time;open;high;low;close;volume", ";", write=german, frame=DEAR),
    "Swiss": text(EPOCH_S, "time;open;high;low;close;volume", ";", frame=DEAR,
                  write=lambda value: thousands(value).replace(",", "'")),
    "French": text(EPOCH_S, "time;open;high;low;close;volume", ";", frame=DEAR,
                   write=lambda value: german(value).replace(".", "\u202f")),
}  # fmt: skip


def same(market: Market, expected: Market) -> bool:
    return market.fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("form", [*SOURCES, *KINDS])
def test_every_form_gives_the_known_market(form: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text({**SOURCES, **KINDS}[form])
    market = read_file(path)
    expected = market_of(FRAME)
    for name in ("time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(market, name), getattr(expected, name), err_msg=name)
    turned = market.close[0] == CLOSE[0] and path.read_text().rfind(repr(float(CLOSE[0]))) > 10_000
    assert any("newest to the oldest" in remark for remark in market.remarks) == turned


@pytest.mark.parametrize("form", THOUSANDS)
def test_marks_for_thousands_are_left_out(form: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(THOUSANDS[form])
    assert same(read_file(path), market_of(DEAR))


def test_a_comma_before_three_digits_is_what_the_separator_says(tmp_path: Path) -> None:
    """131,105 yen with three decimals, and 131,105 of something that has none."""
    path = tmp_path / "candles.csv"
    yen = [(131105 + 10 * i, 131120 + 10 * i, 131100 + 10 * i, 131110 + 10 * i) for i in range(HOURS)]
    frame = FRAME.assign(**dict(zip(("open", "high", "low", "close"), np.array(yen).T, strict=True)))
    path.write_text(text(EPOCH_S, "time," + NAMES, write=lambda value: f'"{int(value):,}"', frame=frame))
    assert same(read_file(path), market_of(frame))
    prices = frame[["open", "high", "low", "close"]] / 1000
    path.write_text(text(EPOCH_S, "time;open;high;low;close", ";", columns="open,high,low,close",
                         write=lambda value: f"{int(value):,}", frame=frame))  # fmt: skip
    assert same(read_file(path), market_of(frame.assign(**prices), **NO_VOLUME))


@pytest.mark.parametrize(
    "content",
    [
        text(written("%Y%m%d %H%M%S"), separator=";", columns="open,high,low,close", more=";0"),
        text(written("%Y-%m-%d %H:%M"), "Date,Open,High,Low,Close", columns="open,high,low,close"),
        text(EPOCH_S, columns="open,high,low,close"),
        text(EPOCH_S, "Date,Open,High,Low,Close,Vol.", columns="open,high,low,close", more=","),
    ],
    ids=["HistData", "Stooq without volume", "no header, no volume", "volume empty"],
)
def test_without_volume_it_is_zero_and_that_is_said(content: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(content)
    market = read_file(path)
    assert same(market, market_of(FRAME, **NO_VOLUME))
    assert market.remarks == ("candles.csv: there is no volume, so the volume features are 0 throughout.",)
    assert (candle_features(market)[:, 14:16] == 0).all()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    first = "Zeit in Köln, ¼ h\n" if encoding == "latin-1" else ""
    path.write_bytes((first + SOURCES["MT5"]).encode(encoding))
    assert same(read_file(path), market_of(FRAME))


def zipped(content: str, *names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, content if name.endswith(".csv") else "a note")
    return target.getvalue()


def columnar(kind: str, **changes: Any) -> bytes:
    target = io.BytesIO()
    frame = FRAME.assign(**changes).rename(columns={"time": "date"})
    if kind == "feather":
        frame.to_feather(target)
    elif kind == "parquet, index without a name":
        frame.set_index("date").rename_axis(None).to_parquet(target)
    elif kind == "parquet, chosen rows":
        pd.concat([frame.iloc[:1], frame]).set_axis(range(HOURS + 1)).iloc[1:].to_parquet(target)
    elif kind == "parquet of yfinance":
        wide = frame.set_index("date").rename_axis("Date")
        wide.columns = pd.MultiIndex.from_tuples(
            [(str(name).title(), "SPY") for name in wide], names=["Price", "Ticker"]
        )
        wide.to_parquet(target)
    return target.getvalue()


ROWS = [[s * 1000, *map(float, row)] for s, row in zip(EPOCH_S, FRAME[NAMES.split(",")].to_numpy(), strict=True)]
LETTERS = [dict(zip("tohlcv", row, strict=True)) for row in ROWS]
ALPHA_NAMES = ("1. open", "2. high", "3. low", "4. close", "5. volume")
ALPHA = {
    f"{t:%Y-%m-%d %H:%M:%S}": dict(zip(ALPHA_NAMES, map(number, row[1:]), strict=True))
    for t, row in zip(TIMES, ROWS, strict=True)
}
PLAIN = text(EPOCH_S, "time," + NAMES)
CONTAINERS: dict[str, bytes] = {
    "gz": gzip.compress(PLAIN.encode()),
    "zip": zipped(PLAIN, "candles.csv"),
    "zip from a Mac": zipped(PLAIN, "candles.csv", "__MACOSX/._candles.csv"),
    "zip of HistData": zipped(PLAIN, "DAT_ASCII.csv", "DAT_ASCII.txt"),
    "feather": columnar("feather"),
    "feather, date in ms": columnar("feather", time=TIMES.dt.as_unit("ms")),
    "parquet, index without a name": columnar("parquet, index without a name"),
    "parquet, chosen rows": columnar("parquet, chosen rows"),
    "parquet of yfinance": columnar("parquet of yfinance"),
    "json of freqtrade": json.dumps(ROWS).encode(),
    "json of freqtrade, gz": gzip.compress(json.dumps(ROWS).encode()),
    "json of Binance": json.dumps([[row[0], *map(number, row[1:]), 1, "2", 3, "4", "5", "0"] for row in ROWS]).encode(),
    "json of Polygon": json.dumps({"ticker": "X:EURUSD", "status": "OK", "results": LETTERS}).encode(),
    "json of Finnhub": json.dumps({key: [row[key] for row in LETTERS] for key in "cholv"}
                                  | {"s": "ok", "t": EPOCH_S}).encode(),
    "json of Alpha Vantage": json.dumps({"Meta Data": {"1. Information": "Day", "2. Symbol": "EUR", "3. Zone": "GMT"},
                                         "Time Series (60min)": ALPHA}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("form", CONTAINERS)
def test_every_container_gives_the_known_market(form: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.data"
    path.write_bytes(CONTAINERS[form])
    market = read_file(path)
    assert same(market, market_of(FRAME))
    assert market.remarks == ()


# --- several symbols

OTHER = known(price=250.0, seed=1)


def long_form() -> str:
    both = [FRAME.assign(symbol="EUR/USD"), OTHER.assign(symbol="BTC/USD")]
    return pd.concat(both).sort_values(["time", "symbol"]).to_csv(index=False)


def wide_form() -> str:
    lines = [("Price", "Ticker", "Datetime")]
    columns: dict[tuple[str, str], pd.Series] = {}
    for name in ("close", "high", "low", "open", "volume"):
        for symbol, frame in (("BTC/USD", OTHER), ("EUR/USD", FRAME)):
            lines.append((name.title(), symbol, ""))
            columns[name, symbol] = frame[name]
    header = "\n".join(",".join(line) for line in zip(*lines, strict=True))
    body = pd.concat([FRAME["time"], pd.DataFrame(columns)], axis=1).to_csv(index=False, header=False)
    return f"{header}\n{body}"


@pytest.mark.parametrize("content", [long_form(), wide_form()], ids=["rows", "columns"])
def test_of_several_symbols_one_must_be_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text(content)
    with pytest.raises(MarketError, match=r"many.csv holds 2 symbols \(BTC/USD, EUR/USD\).*many.csv#BTC/USD'"):
        read_file(path)
    with pytest.raises(MarketError, match=r"has no symbol 'ETH/USD' \(found: BTC/USD, EUR/USD\)"):
        read_file(path, "ETH/USD")
    assert same(read_file(path, "EUR/USD"), market_of(FRAME))
    assert same(read_file(*split_symbol(f"{path}#BTC/USD")), market_of(OTHER))


def test_a_symbol_of_a_file_without_symbols_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text(PLAIN)
    with pytest.raises(MarketError, match=r"names no symbols.*Leave out #BTC"):
        read_file(path, "BTC")


def test_a_file_with_the_mark_in_its_own_name_is_meant_itself(tmp_path: Path) -> None:
    path = tmp_path / "run#1.csv"
    assert split_symbol(str(path)) == (tmp_path / "run", "1.csv")
    path.write_text(PLAIN)
    assert split_symbol(str(path)) == (path, None)


# --- what is said, and what is refused


def changed(row: int, column: str, value: float | str) -> str:
    """The plain file with one cell replaced; the row is counted as an editor does, the header's is 1."""
    frame = FRAME.assign(time=EPOCH_S).astype(object)
    frame.loc[row - 2, column] = value
    return frame.to_csv(index=False)


def read(content: str, tmp_path: Path) -> Market:
    path = tmp_path / "candles.csv"
    path.write_text(content)
    return read_file(path)


def test_rows_without_any_price_are_gaps(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    for row, cells in ((5, ",,,,"), (6, "nan,NaN,NULL,-,"), (10, "N/A,n/a,None,,0")):
        lines[row - 1] = f"{EPOCH_S[row - 2]},{cells}"
    market = read("\n".join([*lines, ",,,,,", "", ""]), tmp_path)
    assert same(market, market_of(FRAME.drop(index=[3, 4, 8])))
    assert market.remarks == (
        "candles.csv: rows without any price were left out as gaps: 3 of 400, the first of them row 5.",
    )


def test_a_jump_that_stays_looks_like_a_split(tmp_path: Path) -> None:
    split = FRAME.copy()
    names = ["open", "high", "low", "close"]
    split[names] = split[names].astype(object)
    split.loc[:14, names] = split.loc[:14, names] * 20
    market = read(split.to_csv(index=False), tmp_path)
    assert len(market.remarks) == 1
    assert "candles.csv: row 17: between two candles the price goes from" in market.remarks[0]
    assert "split" in market.remarks[0]
    # A candle that falls that far within itself is no split, and a jump of 1.5 is news.
    crash = FRAME.copy()
    crash.loc[15:, names] = crash.loc[15:, names] / 3
    crash.loc[15, ["open", "high"]] = FRAME.loc[15, ["open", "high"]]
    assert read(crash.to_csv(index=False), tmp_path).remarks == ()
    news = FRAME.copy()
    news.loc[15:, names] = news.loc[15:, names] * 1.5
    assert read(news.to_csv(index=False), tmp_path).remarks == ()


def test_a_close_a_little_outside_of_its_range_is_said(tmp_path: Path) -> None:
    high, low = FRAME["high"].to_numpy()[10], FRAME["low"].to_numpy()[10]
    for value, words in ((round(high + 0.001, 5), "above high"), (round(low - 0.001, 5), "below low")):
        market = read(changed(12, "close", value), tmp_path)
        assert market.close[10] == value
        assert len(market.remarks) == 1
        assert f"row 12: close {value:g} lies {words}" in market.remarks[0]
        assert "1 of 400 candles" in market.remarks[0]
    # Prices that were multiplied are apart in their last bits.
    assert read(changed(12, "close", high * (1 + 1e-12)), tmp_path).remarks == ()


REFUSED: dict[str, tuple[str, str]] = {
    "close far above its high": (changed(12, "close", 1.7), "row 12: close 1.7 lies above high"),
    "open far below its low": (changed(12, "open", 0.7), "row 12: open 0.7 lies below low"),
    "columns in another order": (text(EPOCH_S, columns="low,high,open,close,volume"), "% of the candles are like that"),
    "highs and lows in each other's place": (text(EPOCH_S, columns="open,low,high,close,volume"), "is below low"),
    "some price missing": (changed(12, "close", ""), "row 12: close is 'empty', where the row has other prices"),
    "some volume missing": (changed(12, "volume", "-"), "row 12: volume is '-', where the row has other prices"),
    "no price at all": (text(EPOCH_S, "time,open,high,low,close", write=lambda _: ""), "no row holds a price"),
    "thousands that are none": (THOUSANDS["points"].replace(",", ".", 1), "row 2: high is '43.296.64266'"),
    "a comma for either": (
        text(EPOCH_S, "time\topen\thigh\tlow\tclose", "\t", "open,high,low,close",
             write=lambda value: f"{value * 100:.3f}".replace(".", ",")),
        "row 2: the comma in '110,000' may mark decimals or thousands",
    ),
    "days or months": (
        text([f"01/02/2023 {i // 60:02}:{i % 60:02}" for i in range(HOURS)], "Date," + NAMES),
        "row 2: the date '01/02/2023 00:00' may be day first or month first",
    ),
    "days or months, daily": (
        text([f"01/{i:02}/2023" for i in range(1, 13)], "Date," + NAMES, frame=FRAME[:12]),
        "row 2: the date '01/01/2023' may be day first or month first",
    ),
    "a month that is none": (
        KINDS["US dates"].replace("01/13/2023 05:00", "13/01/2023 05:00"),
        "row 271: time is '13/01/2023 05:00', which is no known time",
    ),
    "years of two digits": (text(written("%m/%d/%y %H:%M"), "Date," + NAMES), "row 2: time is '01/02/23 00:00'"),
    "newest first, a row astray": (
        "\n".join([*(lines := newest_first(PLAIN, 1).splitlines())[:10], lines[11], lines[10], *lines[12:]]),
        "row 11: earlier than row 12",
    ),
    "names for other columns": (text(EPOCH_S, "time,open,high,low,close", more=",1,2"), "row 1: 5 names stand above 8"),
    "names in another language": (text(EPOCH_S, "Datum,Erster,Hoch,Tief,Schluss,Volumen"), "missing column time, open"),
    "too few cells without a header": ("a note,on,what,this,is\n1672617600,1.1,1.2\n", "missing column"),
    "no times without a header": (text(["x"] * HOURS), "time is 'x'"),
    "JSON without candles": ('{"error": [], "result": {}}', "the JSON holds no list of candles"),
    "damaged JSON": ("[[1672617600, 1.1", "cannot be read as a table of candles"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_by_its_row(case: str, tmp_path: Path) -> None:
    content, message = REFUSED[case]
    with pytest.raises(MarketError) as error:
        read(content, tmp_path)
    assert message in str(error.value)
    assert str(tmp_path / "candles.csv") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(PLAIN, "a.csv", "b.csv"), "the archive holds a.csv, b.csv, not one table"),
        (zipped(PLAIN, "[Content_Types].xml", "xl/workbook.xml"), "Save the sheet as CSV"),
        (zipped(PLAIN), "cannot be read as a table"),
        (zipped(PLAIN, "a.csv")[:-60], "cannot be read"),
        (gzip.compress(PLAIN.encode())[:200], "cannot be read"),
        (columnar("feather")[:500], "cannot be read"),
    ],
    ids=["two tables", "a workbook", "nothing", "damaged zip", "damaged gz", "damaged feather"],
)
def test_a_container_without_one_table_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.zip"
    path.write_bytes(content)
    with pytest.raises(MarketError) as error:
        read_file(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("first", [True, False], ids=["day first", "month first"])
def test_hours_within_two_days_show_which_number_is_the_day(first: bool, tmp_path: Path) -> None:
    """Neither 2 January nor 1 February is impossible, but of the two readings one leaves four weeks out."""
    form = "%d/%m/%Y %H:%M" if first else "%m/%d/%Y %H:%M"
    begin = pd.Timestamp("2023-02-01", tz="UTC")  # the next day is 2 February, not 1 March
    frame = FRAME.assign(time=pd.date_range(begin, periods=HOURS, freq="h"))[:40]
    market = read(text([t.strftime(form) for t in frame["time"]], "Date," + NAMES, frame=frame), tmp_path)
    assert same(market, market_of(frame))


def test_a_day_that_is_no_month_decides_for_all(tmp_path: Path) -> None:
    """Daily candles of January: the 1st to the 12th could be the first days of twelve months."""
    frame = FRAME.assign(time=pd.date_range("2023-01-01", periods=HOURS, tz="UTC"))[:31]
    market = read(text([f"{t:%m/%d/%Y}" for t in frame["time"]], "Date," + NAMES, frame=frame), tmp_path)
    assert same(market, market_of(frame))


def test_daily_candles_may_be_older_than_epoch_times(tmp_path: Path) -> None:
    frame = FRAME.assign(time=pd.date_range("1928-01-02", periods=HOURS, tz="UTC"))
    market = read(text([f"{t:%Y-%m-%d}" for t in frame["time"]], "Date," + NAMES, frame=frame), tmp_path)
    assert same(market, market_of(frame))


@pytest.mark.parametrize("kind", ["parquet", "feather", "json", "json of texts"])
def test_gaps_are_left_out_of_every_container(kind: str, tmp_path: Path) -> None:
    """There a missing price is no text."""
    frame = pd.DataFrame(
        {"time": pd.date_range("2023-01-02", periods=4, freq="h").astype(str), "volume": 5.0}
        | {name: [1.1, 1.1, None, 1.1] for name in PRICES}
    )
    path = tmp_path / "gap"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "feather":
        frame.to_feather(path)
    elif kind == "json":
        frame.to_json(path, orient="records")
    else:
        path.write_text(frame.to_json(orient="records").replace("1.1", '"1.1"'))
    market = read_file(path)
    assert len(market) == 3
    assert "left out as gaps: 1 of 4, the first of them row 3" in market.remarks[0]


def test_a_missing_symbol_is_one_of_several(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": ["2023-01-02", "2023-01-03"], "symbol": ["A", None]} | dict.fromkeys(PRICES, 1.1))
    frame.to_parquet(tmp_path / "symbols")
    with pytest.raises(MarketError, match=r"holds 2 symbols \(, A\)"):
        read_file(tmp_path / "symbols")


@pytest.mark.parametrize("year", ["1600", "2566"])
def test_years_that_nanoseconds_do_not_reach_are_refused(year: str, tmp_path: Path) -> None:
    """They would come round as another year; 2566 is how Thailand counts 2023."""
    path = tmp_path / "years.csv"
    path.write_text(f"time,open,high,low,close\n{year}-01-02,1,1,1,1\n{year}-01-03,1,1,1,1\n")
    with pytest.raises(MarketError, match=rf"row 2: time '{year}-01-02' is not between the years 1678 and 2261"):
        read_file(path)

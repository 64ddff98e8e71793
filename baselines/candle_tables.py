"""From a file to a table of cells: its container, its encoding, its separator, and where its candles begin."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .market import PRICES, MarketError

if TYPE_CHECKING:
    import pandas as pd

LEAST_CELLS = 1 + len(PRICES)
HEAD_BYTES = 1 << 16  # of a text: enough to see how it is written
HEAD_LINES = 200
SPACES = " "
SEPARATORS = ("\t", ";", "|", ",", SPACES)  # where two fit equally well, the first is meant

ZIP, GZIP, PARQUET, FEATHER = b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"ARROW1"

NUMBER = re.compile(r"[-+$€£¥]?\d([\d.,'\u2019\u00a0\u202f]*\d)?(e[-+]?\d+)?[KMB%]?", re.IGNORECASE)
TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*|\d{8} \d.*")


@dataclass(frozen=True)
class Rows:
    """Names the place of a value: the file and the row, counted as an editor counts lines."""

    path: Path
    numbers: NDArray[np.int64]  # (n,)

    def fail(self, bad: NDArray[np.bool_], message: Callable[[int], str], advice: str) -> None:
        """Raise MarketError for the first True in ``bad``, shape (n,); return when there is none."""
        if bad.any():
            index = int(np.argmax(bad))
            raise self.error(index, message(index), advice)

    def error(self, index: int, message: str, advice: str) -> MarketError:
        """What to raise for the row at ``index``."""
        return MarketError(f"{self.path}, row {self.numbers[index]}: {message}. {advice}")

    def take(self, chosen: NDArray[np.bool_] | slice) -> Rows:
        """These rows alone."""
        return Rows(self.path, self.numbers[chosen])


@dataclass(frozen=True)
class CandleTable:
    """The cells of a file, before its columns have a meaning.

    ``headings`` holds, for each column, the cells above its candles, top first; it is empty where
    nothing stands above them. ``cells`` has columns 0, 1, ..., of text where the file is text, indexed
    by the row's number. ``separator`` is that of a text, and empty otherwise.
    """

    path: Path
    headings: list[list[str]]
    cells: pd.DataFrame
    separator: str = ""


def read_table(path: Path) -> CandleTable:
    """The table in a CSV, JSON, Parquet or Feather file, or in a .gz or .zip of one.

    Raises MarketError when there is none: no such file, no table in it, or one that is damaged.
    """
    try:
        content = _unpacked(path)
        if content.startswith((PARQUET, FEATHER)):
            return _from_frame(path, _read_columnar(content))
        if content[:HEAD_BYTES].lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith((b"[", b"{")):
            return _from_frame(path, _read_json(content))
        return _from_text(path, _as_utf8(content))
    except MarketError:
        raise
    except FileNotFoundError:
        raise MarketError(
            f"data file not found: {path}. Give an existing file of candles, 'synthetic', or 'eurusd-1h'."
        ) from None
    except ImportError:
        raise MarketError(
            f"{path}: reading Parquet and Feather needs pyarrow. Install it with: pip install pyarrow"
        ) from None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MarketError(f"{path}: cannot be read as a table of candles ({reason}). Check the file.") from None


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if content.startswith(ZIP):
        content = _only_member(path)
    if content.startswith(GZIP):
        content = gzip.decompress(content)
    if not content[:HEAD_BYTES].strip():
        raise MarketError(f"{path}: the file is empty. Give a file with one row per candle.")
    return content


def _only_member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        # What macOS adds to an archive is no data, nor is a note beside the table.
        data = [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
        tables = [name for name in data if Path(name).suffix.lower() == ".csv"] if len(data) > 1 else data
        if len(tables) != 1:
            advice = (
                "Save the sheet as CSV"
                if "[Content_Types].xml" in names
                else "Unpack it, and give the file of candles that you mean"
            )
            raise MarketError(f"{path}: the archive holds {_listed(names) or 'no file'}, not one table. {advice}.")
        return archive.read(tables[0])


def _listed(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _read_columnar(content: bytes) -> pd.DataFrame:
    import pandas as pd

    read = pd.read_parquet if content.startswith(PARQUET) else pd.read_feather
    frame: pd.DataFrame = read(io.BytesIO(content))
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    # An index without a name becomes a column without one, which may hold the times.
    return frame.reset_index() if any(frame.index.names) else frame.rename_axis("").reset_index()


def _read_json(content: bytes) -> pd.DataFrame:
    frame = _candles_in(json.loads(content.decode("utf-8-sig")))
    if frame is None:
        raise ValueError("the JSON holds no list of candles, or several")
    return frame


def _candles_in(node: Any) -> pd.DataFrame | None:
    """The one list of candles in a JSON document: rows, objects, columns by name, or candles by time."""
    import pandas as pd

    if isinstance(node, list):
        return pd.DataFrame(node) if node and isinstance(node[0], (list, dict)) else None
    if not isinstance(node, dict):
        return None
    if _names_a_close(node):
        return pd.DataFrame({key: pd.Series(values) for key, values in node.items()})
    if node and all(isinstance(value, dict) and _names_a_close(value) for value in node.values()):
        return pd.DataFrame.from_dict(node, orient="index").rename_axis("").reset_index()
    found = [frame for value in node.values() if (frame := _candles_in(value)) is not None]
    return found[0] if len(found) == 1 else None


def _names_a_close(node: dict[str, Any]) -> bool:
    return any(re.fullmatch(r"(\d+\. )?(close|c)", key.lower()) for key in node)


def _from_frame(path: Path, frame: pd.DataFrame) -> CandleTable:
    names: list[Any] = list(frame.columns)
    lines = [name if isinstance(name, tuple) else (name,) for name in names]
    # Rows in JSON have no names; pandas numbers their columns.
    headings = [] if names == list(range(len(names))) else [list(map(str, line)) for line in lines]
    return CandleTable(path, headings, frame.set_axis(range(len(names)), axis=1).set_axis(range(1, len(frame) + 1)))


def _as_utf8(content: bytes) -> bytes:
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
                           (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip
        if content.startswith(mark):
            return content.decode(encoding).encode()
    head = content[:HEAD_BYTES]
    if 0 in head:
        # Latin letters and digits have a zero in every second byte of UTF-16.
        encoding = "utf-16-be" if not any(head[::2]) else "utf-16-le" if not any(head[1::2]) else ""
        if not encoding:
            raise ValueError("it is not text")
        return content.decode(encoding).encode()
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content


def _from_text(path: Path, content: bytes) -> CandleTable:
    import pandas as pd

    lines = [line.decode(errors="replace") for line in content[:HEAD_BYTES].splitlines()[:HEAD_LINES]]
    separator = max(SEPARATORS, key=lambda separator: _fit(lines, separator))
    split = [_split(line, separator) for line in lines]
    if max(map(len, split)) < LEAST_CELLS:
        raise ValueError(f"no line has the {LEAST_CELLS} cells of a candle: time, {', '.join(PRICES)}")
    first = next((i for i, row in enumerate(split) if len(row) >= LEAST_CELLS and any(map(_is_value, row))), len(split))
    above = {i + 1: row for i, row in enumerate(split[:first]) if len(row) >= LEAST_CELLS}
    if first == len(split):
        names = max(above.values(), key=len)
        return CandleTable(path, _headings(path, above, names), pd.DataFrame(columns=range(len(names))), separator)
    # Everything is read as text first: a bad cell must be reported with its row.
    cells = pd.read_csv(io.BytesIO(content), sep=r"\s+" if separator == SPACES else separator, header=None,
                        skiprows=first, dtype=str, keep_default_na=False, skipinitialspace=True,
                        skip_blank_lines=False).fillna("")  # fmt: skip
    cells.index = cells.index + first + 1
    filled = cells[(cells != "").any(axis=1)]  # blank lines are counted, not read
    return CandleTable(path, _headings(path, above, split[first]), filled, separator)


def _fit(lines: list[str], separator: str) -> tuple[int, int]:
    """How many numbers and times the separator makes of the lines, and how many cells where it makes none."""
    cells = [cell for line in lines for cell in _split(line, separator)]
    values = sum(map(_is_value, cells))
    return values, 0 if values else len(cells)


def _split(line: str, separator: str) -> list[str]:
    if separator == SPACES:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _is_value(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell) or TIME.fullmatch(cell))


def _headings(path: Path, above: dict[int, list[str]], candle: list[str]) -> list[list[str]]:
    """For each column of ``candle`` the cells above it; lines too short for a header are remarks of the source."""
    width, rows = len(candle), []
    for number, row in above.items():
        cells = row[:width] if not any(row[width:]) else row
        if len(cells) == width - 1:  # one name less: of what ends each line, or of the index that leads it
            cells = [*cells, ""] if candle[-1] == "" else ["", *cells]
        if len(cells) != width:
            raise MarketError(
                f"{path}, row {number}: {len(cells)} names stand above {width} columns. "
                "Give each column its name, or remove the line if it is no header."
            )
        rows.append(cells)
    return [list(column) for column in zip(*rows, strict=True)]

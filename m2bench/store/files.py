"""Files that are written whole or not at all, and what is said of those that could not be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from m2bench.errors import UserError
from m2bench.records.inspected import Written

LOG_BEGINS, LOG_ENDS = 2**20, 2**16  # bytes of a long log that are kept


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put that file in the place of ``path``, which is there whole or as it was."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())  # a disk that is full may only say so now
        os.replace(partial, path)
    except BaseException:
        _remove(partial)
        raise


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole, or leave what was there; UserError when it cannot be written."""
    try:
        with written_whole(path) as partial:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        kept = "; the one that was there is kept" if path.is_file() else ""
        raise UserError(
            f"{path} cannot be written: {error.strerror}{kept}.",
            "Free some disk space, check the permissions, or copy the folder elsewhere.",
        ) from error


def try_to_write(path: Path, write: Callable[[], object]) -> Written:
    """Have ``write`` write a file that can be done without."""
    try:
        write()
    except (OSError, RuntimeError) as error:
        _remove(path)
        return Written(str(path), str(error))
    return Written(str(path), None if path.exists() else f"nothing was left at {path}")


def open_log(path: Path) -> BinaryIO:
    """Opened to be appended to; UserError when that cannot be done."""
    with _log_explained(path):
        return path.open("ab")


def add_to_log(path: Path, content: bytes) -> None:
    """Append to a log; UserError when that cannot be done."""
    with _log_explained(path), path.open("ab") as log:
        log.write(content)


@contextmanager
def _log_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the log {path} cannot be written: {error.strerror}.",
            "Free some disk space, or check the permissions of its folder.",
        ) from error


def shorten_log(path: Path) -> None:
    """Keep the beginning and the end of a log, however much a user's code has printed in between."""
    with suppress(OSError), path.open("r+b") as log:
        size = log.seek(0, os.SEEK_END)
        left_out = size - LOG_BEGINS - LOG_ENDS
        if left_out <= 0:
            return
        log.seek(-LOG_ENDS, os.SEEK_END)
        end = log.read()
        log.seek(LOG_BEGINS)
        log.write(f"\n[{left_out:,} bytes are left out here]\n".encode() + end)
        log.truncate()


def _remove(path: Path) -> None:
    """Remove what is left of a file; a folder that cannot be written refuses even where nothing is left."""
    with suppress(OSError):
        path.unlink()


def refuse_unwritten(files: Mapping[str, Written]) -> None:
    """UserError when one of the files could not be written."""
    lost = [f"{name} {file}" for name, file in files.items() if file.lost_because is not None]
    if lost:
        raise UserError(
            f"{'; '.join(lost)}.", "Free some disk space, or choose another folder with --out, and run again."
        )

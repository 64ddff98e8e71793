"""Folders that results are written to."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import UserError, WorkerError

# What a run that ended before its first result may have left; it is nothing to lose.
LEFTOVERS = {"logs", "work"}
NOT_WRITTEN = "not written: "


def make_folder(folder: Path, advice: str = "Choose a folder you may write to with --out.") -> None:
    """Make the folder and those above it; UserError with the advice when that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}.", advice) from error


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
            "Make room, give yourself access, or copy the folder to a place of your own.",
        ) from error


def written(path: Path, write: Callable[[], object]) -> str:
    """Have ``write`` write a file that can be done without: its path, or why there is none."""
    try:
        write()
    except (OSError, RuntimeError) as error:
        _remove(path)
        return f"{NOT_WRITTEN}{error}"
    return str(path) if path.exists() else f"{NOT_WRITTEN}nothing was left at {path}"


def open_log(path: Path) -> BinaryIO:
    """Opened to be appended to; UserError when that cannot be done."""
    try:
        return path.open("ab")
    except OSError as error:
        raise UserError(
            f"the log {path} cannot be written: {error.strerror}.", "Make room, or give yourself access to its folder."
        ) from error


def _remove(path: Path) -> None:
    """Remove what is left of a file; a folder that cannot be written refuses even where nothing is left."""
    with suppress(OSError):
        path.unlink()


def refuse_unwritten(files: dict[str, str]) -> None:
    """UserError when one of the files could not be written; each is a path or the reason, as ``written`` returns it."""
    lost = [f"{name} {path}" for name, path in files.items() if path.startswith(NOT_WRITTEN)]
    if lost:
        raise UserError(f"{'; '.join(lost)}.", "Make room, or choose another folder with --out, and run again.")


@contextmanager
def locked(folder: Path, file: Path) -> Iterator[None]:
    """Hold ``folder`` for this process by a lock on ``file``; UserError when another process holds it.

    The system lets go of the lock when the process ends, however it ends.
    """
    with file.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another m2bench is at work in {folder}.", "Wait for it to end, or choose another folder with --out."
            ) from None
        yield


def refuse_used(folder: Path, advice: str) -> None:
    """UserError with the advice when there is something in the folder that could be lost."""
    if folder.exists() and (not folder.is_dir() or {entry.name for entry in folder.iterdir()} - LEFTOVERS):
        raise UserError(f"{folder} is not an empty folder.", advice)


@contextmanager
def removed_if_refused(folder: Path) -> Iterator[None]:
    """Make the folder, and remove it again when the body finds something that the user must put right first.

    Only what was made here goes: others may have put their own beside it meanwhile. A WorkerError leaves it: its log is
    in there.
    """
    made = [path for path in reversed((folder, *folder.parents)) if _makes(path)]
    try:
        yield
    except WorkerError:
        raise
    except (UserError, KeyboardInterrupt):
        if folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        for path in reversed(made):
            with suppress(OSError):  # somebody else's things are in there
                path.rmdir()
        raise


def _makes(folder: Path) -> bool:
    """Make one folder; False when it was there. UserError when that cannot be done."""
    try:
        folder.mkdir()
    except OSError as error:
        if folder.is_dir():
            return False
        raise UserError(
            f"{error.filename}: {error.strerror}.", "Choose a folder you may write to with --out."
        ) from error
    return True

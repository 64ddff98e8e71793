"""Folders that results are written to: made, held by one process at a time, refused where something would be lost."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from m2bench.errors import UserError, WorkerError

# What a run that ended before its first result may have left; it is nothing to lose.
LEFTOVERS = {"logs", "work"}


def make_folder(folder: Path, advice: str = "Choose a folder you may write to with --out.") -> None:
    """Make the folder and those above it; UserError with the advice when that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}.", advice) from error


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
                f"another m2bench is running in {folder}.", "Wait for it to end, or choose another folder with --out."
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

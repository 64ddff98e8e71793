"""Folders that results are written to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError, WorkerError


def make_folder(folder: Path) -> None:
    """Make the folder and those above it; UserError when that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}.", "Choose a folder you may write to with --out."
        ) from error


@contextmanager
def removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove the folder again when the body finds something that the user must put right first, or is interrupted.

    A WorkerError leaves it: its log is in there.
    """
    try:
        yield
    except WorkerError:
        raise
    except (UserError, KeyboardInterrupt):
        shutil.rmtree(folder)
        raise

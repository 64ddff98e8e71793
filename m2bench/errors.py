"""Errors that reach the user as one message."""

from __future__ import annotations

import shlex
from pathlib import Path


class UserError(Exception):
    """Something the user can put right: what is wrong (and where), and what to do next."""

    def __init__(self, problem: str, advice: str = ""):
        super().__init__(f"{problem} {advice}".strip())


class WorkerError(UserError):
    """A worker process failed in a way that only its log explains."""


class TrainerError(RuntimeError):
    """What the user's own code raised, said with its file and line; of a trial it is the result."""


class TrainingEnded(TrainerError):  # noqa: N818 (no error where enough was timed)
    """The user's trainer has no further update."""


def quoted(path: Path) -> str:
    """The path as it can be pasted into a shell."""
    return shlex.quote(str(path))

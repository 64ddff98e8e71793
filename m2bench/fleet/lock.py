"""One trial at a time on a machine, however many workers and runs it serves."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

LOOK_S = 0.1


class SessionEnded(Exception):  # noqa: N818 (nothing went wrong here)
    """The run has no more use for what was asked of the machine."""


@contextmanager
def alone_on_machine(ended: Event) -> Iterator[None]:
    """Hold the machine's lock, which the system takes back from a process that has gone.

    Waits while others hold it; SessionEnded where ``ended`` is set meanwhile.
    """
    lock = _open_lock(Path("/tmp") / f"m2bench-{socket.gethostname()}.lock")  # of all users, which TMPDIR is not
    try:
        while not _is_taken(lock):
            if ended.wait(LOOK_S):
                raise SessionEnded
        yield
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    """Opened for reading, which any user may do; made by the first."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

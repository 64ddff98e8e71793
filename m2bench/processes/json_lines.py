"""JSON lines between processes: what the parent asks of a launcher, and what it is told."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, Required, TypedDict, TypeVar

if TYPE_CHECKING:
    from m2bench.records.results import FailureKind

T = TypeVar("T")


class JobRequest(TypedDict, total=False):
    """What the parent asks of a launcher: a job, with all fields of its record, or to end the worker under way."""

    job: str
    log: str
    workload: Mapping[str, Any]
    probe: bool
    kill: bool


class WorkerEvent(TypedDict, total=False):
    """What a launcher and its workers tell: what became of a job is a ``result``, an ``error`` of the user's, or a
    ``failure`` of some ``kind``. Progress has all fields of its record.
    """

    event: Required[Literal["ready", "progress", "result", "exit"]]
    result: object
    error: str
    failure: str
    kind: FailureKind
    code: int
    cpu_s: float


class Lines(Generic[T]):
    """JSON lines read from a file descriptor without losing what lies beyond the first."""

    def __init__(self, fd: int):
        self.fd = fd
        self._buffer = b""
        self.ended = False

    def read(self) -> None:
        """Read what is there; blocks when nothing is."""
        chunk = os.read(self.fd, 1 << 16)
        self._buffer += chunk
        self.ended = not chunk

    def take(self) -> T | None:
        """A line that has been read, or None."""
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        document: T = json.loads(line)
        return document

    def next(self) -> T | None:
        """The next line, waiting for it; None at the end."""
        while (line := self.take()) is None and not self.ended:
            self.read()
        return line


def send(fd: int, event: WorkerEvent) -> None:
    data = json.dumps(event).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]

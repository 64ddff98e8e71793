"""JSON lines between processes."""

from __future__ import annotations

import json
import os
from typing import Any

Event = dict[str, Any]


class Lines:
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

    def take(self) -> Event | None:
        """A line that has been read, or None."""
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        document: Event = json.loads(line)
        return document

    def next(self) -> Event | None:
        """The next line, waiting for it; None at the end."""
        while (line := self.take()) is None and not self.ended:
            self.read()
        return line


def send(fd: int, event: Event) -> None:
    data = json.dumps(event).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]

"""What a command prints: passed on line by line, and kept only in part, however much it is."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO

from m2bench.errors import TrainerError

LOG_BYTES = 2**20  # of all that is printed, the first ones, in the log
LONGEST_LINE = 2**20  # bytes; what a longer line goes on with is passed over
LAST_LINES = 5
SHOWN = 300  # characters of a line in a message
CHUNK = 2**16

# A carriage return ends a line as well: progress bars write over theirs.
LINE_ENDS = re.compile(rb"[\r\n]+")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Output:
    """What a command prints, as its streams are followed, each in a thread of its own."""

    def __init__(self, log: int):
        self._log = log
        self._room = LOG_BYTES
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._lock = threading.Lock()
        self.error: TrainerError | None = None
        """What the first line raised that could not be read."""

    def follow(self, stream: IO[bytes], read_line: Callable[[str], None]) -> None:
        """Pass each line of a stream on, without colours, until it ends; then close it."""
        with stream:
            for line in _lines(self._chunks(stream.fileno())):
                with self._lock:
                    self._last.append(line[:SHOWN])
                    try:
                        read_line(line)
                    except TrainerError as error:
                        self.error = self.error or error

    def _chunks(self, stream: int) -> Iterator[bytes]:
        while chunk := os.read(stream, CHUNK):
            with self._lock, suppress(OSError):  # a full disk has no room for the log
                os.write(self._log, chunk[: self._room])
                self._room = max(0, self._room - len(chunk))
            yield chunk

    def close(self) -> None:
        """Write what the log has no room for, but for the last lines."""
        if not self._room:
            end = f"\n[only the first {LOG_BYTES:,} bytes are kept; the last lines:]\n" + "\n".join(self._last) + "\n"
            with suppress(OSError):
                os.write(self._log, end.encode())

    @property
    def last_lines(self) -> str:
        """As a message shows them."""
        return f"its last lines: {' | '.join(self._last)}" if self._last else "it printed nothing"


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """The lines in a stream that are not empty."""
    rest = b""
    for chunk in chunks:
        first, *more = LINE_ENDS.split(chunk)
        rest += first[: LONGEST_LINE - len(rest)]
        for line in more:
            if rest:
                yield _text(rest)
            rest = line[:LONGEST_LINE]
    if rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    return COLOURS.sub("", line.decode(errors="replace")).rstrip()

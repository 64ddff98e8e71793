"""Two trials that are timed by turns: each runs updates for a moment while the other waits.

What the machine does for longer than a turn then happens to both alike. The leader, in the parent, hands the turns out
over a socket; a trial connects when it is warm, works whenever it is told to, and goes on when it is told the end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

TURN, DONE, END = b"t", b"d", b"e"
WATCH_S = 0.2  # between looks at whether a trial has ended before its time


class Turns:
    """A trial's end: iterating waits for each turn, of so many ``seconds``, and gives it back when the body is done."""

    def __init__(self, address: str, name: str, seconds: float):
        self._address = address
        self._name = name
        self.seconds = seconds

    def __iter__(self) -> Iterator[None]:
        """Raises RuntimeError when the leader has gone, which is how the other trial's failure shows."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._address)
            connection.sendall(f"{self._name}\n".encode())
            while (order := connection.recv(1)) == TURN:
                yield
                connection.sendall(DONE)
            if order != END:
                raise RuntimeError("the other trial of the pair has ended before its time")


class Leader:
    """The parent's end. Use as a context manager; leaving it early ends the trials that wait."""

    def __init__(self, folder: Path):
        self.address = str(folder / "turns")

    def __enter__(self) -> Leader:
        self._stack = ExitStack()
        Path(self.address).unlink(missing_ok=True)
        self._listener = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        self._listener.bind(self.address)
        self._listener.listen()
        self._listener.settimeout(WATCH_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def lead(self, names: Sequence[str], turns: int, ended: Callable[[], bool]) -> None:
        """Give each trial so many turns, as AB, BA, AB, ...; stops when ``ended`` says that a trial has."""
        trials: dict[str, socket.socket] = {}
        while len(trials) < len(names):
            if ended():
                return
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._stack.enter_context(connection)
            trials[_read_line(connection)] = connection
        for turn in range(turns):
            for name in names[:: -1 if turn % 2 else 1]:
                trials[name].sendall(TURN)
                if trials[name].recv(1) != DONE:
                    return
        for connection in trials.values():
            connection.sendall(END)


def _read_line(connection: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return ""
        line += byte
    return line.decode().strip()

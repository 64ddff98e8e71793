"""Two trials that take turns: one works while the other waits, all the way from their start to their end.

In the timed window a turn is a moment, so that what the machine does for longer happens to both alike. Before and
after it a turn is all that there is to do: two trials at work at once would fight for the cores. The leader, in the
parent, hands the turns out over a socket.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

TURN, DONE = b"t", b"d"
AROUND_WINDOW = 2  # turns: what comes before the timed window, and what comes after it
LONGEST_ADDRESS = 103  # bytes of a socket's path: macOS takes no more, Linux 107
WATCH_S = 0.2  # between looks at whether a trial has ended before its time


class Turns:
    """A trial's end: held by the trial while it works. ``count`` turns of so many ``seconds`` make its timed window.

    Raises RuntimeError when the leader has gone, which is how the other trial's failure shows.
    """

    def __init__(self, address: str, name: str, count: int, seconds: float):
        self._address = address
        self._name = name
        self.count = count
        self.seconds = seconds

    def __enter__(self) -> Turns:
        with ExitStack() as stack:
            self._connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._connection.connect(self._address)
            self._connection.sendall(f"{self._name}\n".encode())
            self._take()
            stack.pop_all()  # it stays open
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._connection.sendall(DONE)
        self._connection.close()

    def pass_on(self) -> None:
        """Let the other have its turn, and wait for the next one."""
        self._connection.sendall(DONE)
        self._take()

    def _take(self) -> None:
        if self._connection.recv(1) != TURN:
            raise RuntimeError("the other trial of the pair has ended before its time")


class Leader:
    """The parent's end. Use as a context manager; leaving it early ends the trials that wait.

    ``holder``: the trial that got the last turn; when the turns ended early, it is the one that did not give it back.
    """

    holder: str | None = None

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> Leader:
        with ExitStack() as stack:
            self.address = stack.enter_context(_address(self._folder))
            self._listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._listener.bind(self.address)
            self._listener.listen()
            self._listener.settimeout(WATCH_S)
            self._stack = stack.pop_all()  # it stays open
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def lead(self, names: Sequence[str], count: int, ended: Callable[[], bool]) -> None:
        """Give each trial its turns, as AB, BA, AB, ...: ``count`` in the timed window, and those around it.

        Stops when a trial ends before its time; ``ended`` says whether one has that did not even come.
        """
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
        for turn in range(count + AROUND_WINDOW):
            for name in names[:: -1 if turn % 2 else 1]:
                self.holder = name
                trials[name].sendall(TURN)
                if trials[name].recv(1) != DONE:
                    return


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """A path for a socket: in ``folder``, or in a folder of its own with a short name where that would be too long."""
    path = folder / "turns"
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        path.unlink(missing_ok=True)
        yield str(path)
    else:
        with tempfile.TemporaryDirectory(prefix="m2bench-", dir="/tmp") as short:
            yield str(Path(short) / path.name)


def _read_line(connection: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return ""
        line += byte
    return line.decode().strip()

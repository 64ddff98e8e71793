"""Waiting until other processes leave the machine alone."""

from __future__ import annotations

import time
from collections.abc import Callable

from m2bench.machine.conditions import Watch, busy_cores

SAMPLE_S = 1.0


def busy_now() -> float | None:
    """How many cores other processes keep busy just now, while nothing of this run computes; see ``busy_cores``."""
    watch = Watch()
    time.sleep(SAMPLE_S)
    return busy_cores(watch.conditions(0.0))


class Quiet:
    """Says whether the machine is quiet while nothing of this run computes, and waits for that.

    It waits at most ``wait_s`` seconds in all; ``tell`` is told before every second of it how many cores are busy.
    ``look``: what is asked for that number, of this machine or of another.
    """

    def __init__(self, wait_s: float, tell: Callable[[float], None], look: Callable[[], float | None] = busy_now):
        self._left_s = wait_s
        self._tell = tell
        self._look = look

    def is_quiet(self) -> bool:
        """Whether it is quiet now, or becomes so while there is still time to wait."""
        while True:
            begin = time.monotonic()
            busy = self._look()
            if busy is None or self._left_s <= 0:
                return busy is None
            self._tell(busy)
            self._left_s -= time.monotonic() - begin

    def wait(self) -> None:
        """Wait, if any time to do so is left."""
        if self._left_s > 0:
            self.is_quiet()

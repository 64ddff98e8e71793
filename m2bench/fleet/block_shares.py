"""Hands out what is to be done on machines of one kind: a mini-block with its anchors, which one machine runs whole."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from threading import Condition

SHORTEST_S = 1e-3
MOST_TRIES = 3
"""Machines that may be lost over one share, before it is held to be the cause."""


class Shares:
    """Numbers of mini-blocks, for several threads. ``clock``: seconds."""

    def __init__(self, numbers: Iterable[int], clock: Callable[[], float] = time.monotonic):
        self._waiting = deque(numbers)
        self._under_way: dict[int, tuple[str, float]] = {}
        """Who is at it, and since when."""
        self._share_s: dict[str, float] = {}
        """What each machine took for its last one."""
        self._tries: Counter[int] = Counter()
        self._changed = Condition()
        self._stopped = False
        self._clock = clock

    def take(self, machine: str) -> int | None:
        """The next one for the machine; None when all are finished.

        Waits while another machine may still give one back, and leaves the last ones to faster machines.
        """
        with self._changed:
            while (self._waiting or self._under_way) and not self._stopped and not self._is_for(machine):
                self._changed.wait()
            if not self._waiting or self._stopped:
                return None
            number = self._waiting.popleft()
            self._under_way[number] = machine, self._clock()
            self._tries[number] += 1
            return number

    def _is_for(self, machine: str) -> bool:
        """Whether something waits that the others, after what they are at, would not have done sooner together."""
        others = [share_s for name, share_s in self._share_s.items() if name != machine]
        if not self._waiting or not others or machine not in self._share_s:
            return bool(self._waiting)
        together_s = len(self._waiting) / sum(1 / share_s for share_s in others)
        return self._share_s[machine] <= min(others) + max(min(others), together_s)

    def finish(self, number: int) -> None:
        """It is done."""
        with self._changed:
            machine, begin = self._under_way.pop(number)
            self._share_s[machine] = max(self._clock() - begin, SHORTEST_S)
            self._changed.notify_all()

    def give_back(self, number: int) -> bool:
        """Its machine was lost, so it is to be done again; whether that is to be tried any more."""
        with self._changed:
            machine, _ = self._under_way.pop(number)
            self._share_s.pop(machine, None)
            again = self._tries[number] < MOST_TRIES
            if again:
                self._waiting.appendleft(number)
            self._changed.notify_all()
            return again

    def stop(self) -> None:
        """Hand out no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

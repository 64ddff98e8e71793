"""Hands out what is to be done on machines of one kind: a mini-block with its anchors, which one machine runs whole."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from threading import Condition

MOST_TRIES = 3
"""Machines that may be lost over one share, before it is held to be the cause."""


class Shares:
    """Numbers of mini-blocks, for several threads."""

    def __init__(self, numbers: Iterable[int]):
        self._waiting = deque(numbers)
        self._under_way: set[int] = set()
        self._tries: Counter[int] = Counter()
        self._changed = Condition()
        self._stopped = False

    def take(self) -> int | None:
        """The next one; None when all are finished. Waits while another machine may still give one back."""
        with self._changed:
            while not self._waiting and self._under_way and not self._stopped:
                self._changed.wait()
            if not self._waiting or self._stopped:
                return None
            number = self._waiting.popleft()
            self._under_way.add(number)
            self._tries[number] += 1
            return number

    def finish(self, number: int) -> None:
        """It is done."""
        with self._changed:
            self._under_way.discard(number)
            self._changed.notify_all()

    def give_back(self, number: int) -> bool:
        """It is to be done again; whether that is to be tried any more."""
        with self._changed:
            self._under_way.discard(number)
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

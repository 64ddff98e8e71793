"""How long a trainer is in each of its phases, by a clock at their ends; no profiler, which would slow it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median

OTHER = "other"
EMPTY, EMPTY_PHASES = "empty", 50

Cut = tuple[str, float, float]
"""Phase, begin and end, in seconds since some fixed moment."""


class PhaseClock:
    """Cuts a stretch of work into phases without gaps: each moment belongs to the innermost phase that is open.

    ``phase`` is what the work enters around its phases; what lies outside all of them is OTHER. The device is
    waited for at every cut, so that a phase owns the work it submitted.
    """

    def __init__(self, synchronize: Callable[[], None]):
        self._synchronize = synchronize
        self._open = [OTHER]
        self._mark = 0.0
        self._entries: list[tuple[str, str]] = []
        self.cuts: list[Cut] = []

    def start(self) -> None:
        self._inside_s, self._outside_s = _own_time_s(self._synchronize)
        self._synchronize()
        self._mark = time.perf_counter()

    def stop(self) -> None:
        self._cut()

    def phase(self, name: str) -> PhaseClock:
        """To be entered at once."""
        self._next = name
        return self

    def __enter__(self) -> None:
        self._cut()
        self._entries.append((self._next, self._open[-1]))
        self._open.append(self._next)

    def __exit__(self, *exc: object) -> None:
        self._cut()
        self._open.pop()

    def _cut(self) -> None:
        self._synchronize()
        now = time.perf_counter()
        self.cuts.append((self._open[-1], self._mark, now))
        self._mark = now

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase in the order in which they were first entered, and at last of OTHER.

        What cutting takes itself, measured at the start, is left out.
        """
        total: dict[str, float] = defaultdict(float)
        for name, begin, end in self.cuts:
            total[name] += end - begin
        for inner, outer in self._entries:
            total[inner] -= self._inside_s
            total[outer] -= self._outside_s
        other = total.pop(OTHER)
        return {name: max(0.0, seconds) for name, seconds in (*total.items(), (OTHER, other))}


def _own_time_s(synchronize: Callable[[], None]) -> tuple[float, float]:
    """Seconds that one empty phase takes within itself, and in what it lies in."""
    watch = PhaseClock(synchronize)
    watch._mark = time.perf_counter()
    for _ in range(EMPTY_PHASES):
        with watch.phase(EMPTY):
            pass
    spans = [(name, end - begin) for name, begin, end in watch.cuts]
    inside = [seconds for name, seconds in spans if name == EMPTY]
    outside = [seconds for name, seconds in spans if name == OTHER]
    return median(inside), median(outside)

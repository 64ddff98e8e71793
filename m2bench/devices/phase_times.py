"""How long a system is in each phase of an episode, over one turn of its pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Protocol

from .stopwatch import OTHER, Stopwatch

Episodes = int | Fraction
"""So many episodes the cost of a piece is for; a fraction where one piece stands for several others."""


class InPieces(Protocol):
    """What can be run in pieces whose phases can be watched."""

    def synchronize(self) -> None: ...
    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]: ...
    def pieces(self) -> Iterator[tuple[Callable[[], object], Episodes | None]]: ...


def cut_into_phases(system: InPieces, work: Callable[[], object]) -> Stopwatch:
    """Do the work, cut into the system's phases.

    Each phase ends when the device has done its work. Where the device runs beside the host, that takes time of its
    own; so these figures divide the time, they never state the speed.
    """
    stopwatch = Stopwatch(system.synchronize)
    with system.watch_phases(stopwatch.phase):
        stopwatch.start()
        work()
        stopwatch.stop()
    return stopwatch


def watch_turn(system: InPieces) -> dict[str, float]:
    """Milliseconds per episode of one turn of the pieces in each phase and, last, outside of all of them (OTHER)."""
    milliseconds: dict[str, float] = defaultdict(float)
    for piece, episodes in system.pieces():
        if episodes is None:
            piece()
            continue
        for name, seconds in cut_into_phases(system, piece).seconds().items():
            milliseconds[name] += 1e3 * seconds / episodes
    milliseconds[OTHER] = milliseconds.pop(OTHER)
    return dict(milliseconds)

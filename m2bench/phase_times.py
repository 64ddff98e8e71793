"""How long a system is in each phase of an episode, over one turn of its pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from .stopwatch import OTHER, Cut, Stopwatch


class InPieces(Protocol):
    """What can be run in pieces whose phases can be watched."""

    def synchronize(self) -> None: ...
    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]: ...
    def pieces(self) -> Iterator[tuple[Callable[[], object], int | None]]: ...


@dataclass(frozen=True)
class Turn:
    """Milliseconds per episode in each phase and, last, outside of all of them (OTHER).

    ``cuts``: those of the first piece, which was for so many ``episodes``.
    """

    phases_ms: dict[str, float]
    cuts: list[Cut]
    episodes: int


def watch_turn(system: InPieces) -> Turn:
    """Run one turn of the pieces and cut it into phases.

    Each phase ends when the device has done its work. Where the device runs beside the host, that takes time of its
    own; so these figures divide the time, they never state the speed.
    """
    milliseconds: dict[str, float] = defaultdict(float)
    first: tuple[list[Cut], int] | None = None
    for piece, episodes in system.pieces():
        if episodes is None:
            piece()
            continue
        stopwatch = Stopwatch(system.synchronize)
        with system.watch_phases(stopwatch.phase):
            stopwatch.start()
            piece()
            stopwatch.stop()
        first = first or (stopwatch.cuts, episodes)
        for name, seconds in stopwatch.seconds().items():
            milliseconds[name] += 1e3 * seconds / episodes
    milliseconds[OTHER] = milliseconds.pop(OTHER)
    assert first is not None
    return Turn(dict(milliseconds), *first)

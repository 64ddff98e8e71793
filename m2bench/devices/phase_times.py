"""How long a system is in each phase of an episode, over one turn of its pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from .pieces import InPieces
from .stopwatch import OTHER, Stopwatch


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
    """Milliseconds per unit of one turn of the pieces in each phase and, last, outside of all of them (OTHER).

    Empty for a system that offers no pieces, or whose pieces enter no phase.
    """
    milliseconds: dict[str, float] = defaultdict(float)
    for piece, episodes in system.pieces():
        if episodes is None:
            piece()
            continue
        for name, seconds in cut_into_phases(system, piece).seconds().items():
            milliseconds[name] += 1e3 * seconds / episodes
    if set(milliseconds) <= {OTHER}:
        return {}
    if OTHER in milliseconds:
        milliseconds[OTHER] = milliseconds.pop(OTHER)
    return dict(milliseconds)

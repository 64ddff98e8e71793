"""How long a system is in each phase of an episode, over one pass of its pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from .phase_clock import OTHER, PhaseClock
from .training_pieces import InPieces


def cut_into_phases(system: InPieces, work: Callable[[], object]) -> PhaseClock:
    """Do the work, cut into the system's phases.

    Each phase ends when the device has done its work. Where the device runs beside the host, that takes time of its
    own; so these figures divide the time, they never state the speed.
    """
    clock = PhaseClock(system.synchronize)
    with system.watch_phases(clock.phase):
        clock.start()
        work()
        clock.stop()
    return clock


def phase_ms(system: InPieces) -> dict[str, float]:
    """Milliseconds per unit of one pass over the pieces in each phase and, last, outside of all of them (OTHER).

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

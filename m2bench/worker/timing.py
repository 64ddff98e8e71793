"""The times of updates: each that of finished work, and nothing else in it."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from m2bench.errors import TrainingEnded
from m2bench.processes.turns import Turns
from m2bench.records.spec import WindowSpec
from m2bench.statistics.steady import mean_error
from m2bench.systems.interface import System, Told

TIMER_READINGS = 25
LOOKED_AT = 5  # significant binary digits of the numbers of updates at which the mean is looked at


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect garbage now, and not while this is held.

    A collection takes tenths of a second, and would be charged to whatever combination or phase it hits.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def timed_window(system: System, window: WindowSpec) -> tuple[list[float], list[Told]]:
    """The updates of one timed window, as of ``timed_updates``."""
    return timed_updates(system, window.timed_updates, window.timed_s, window.timed_most_s, window.timed_error)


def timed_turns(system: System, turns: Turns) -> tuple[list[float], list[Told], list[int]]:
    """The updates of all turns, as of ``timed_updates``, and how many each turn had; between them the other works."""
    times: list[float] = []
    told: list[Told] = []
    updates: list[int] = []
    for _ in range(turns.count):
        turns.pass_on()
        more_times, more_told = timed_updates(system, 1, turns.seconds)
        times += more_times
        told += more_told
        updates.append(len(more_times))
    turns.pass_on()
    return times, told, updates


def timed_updates(
    system: System, at_least: int, seconds: float = 0.0, most_s: float = 0.0, error: float = 0.0
) -> tuple[list[float], list[Told]]:
    """Seconds of each update, and what it told.

    It goes on until there are ``at_least`` updates and ``seconds`` are over; and then, up to ``most_s``, until the mean
    is known to within a relative standard error of ``error``. Where the training ends before that, it ends there.

    The device is waited for at both ends of every update, so each time is that of finished work. Between two
    updates, outside of either's time, it is read what the update tells, and loss and gradient are checked to be finite
    numbers. Raises TrainingEnded where training ends before ``at_least`` updates.
    """
    times: list[float] = []
    told: list[Told] = []
    system.synchronize()
    begin = time.perf_counter()
    while len(times) < at_least or _has_to_go_on(times, time.perf_counter() - begin, seconds, most_s, error):
        try:
            each_s, each_told = _timed_update(system)
        except TrainingEnded:
            if len(times) < at_least:
                raise
            break
        times.append(each_s)
        told.append(each_told)
    return times, told


def _has_to_go_on(times: Sequence[float], elapsed_s: float, seconds: float, most_s: float, error: float) -> bool:
    """Whether the times are not long enough, or their mean is not known well enough, as far as that is looked at.

    That is at numbers with LOOKED_AT significant binary digits: as their mean becomes known, it changes ever more
    slowly, and it takes ever longer to find out.
    """
    if elapsed_s < seconds:
        return True
    is_looked_at = len(times) % 2 ** max(0, len(times).bit_length() - LOOKED_AT) == 0
    return error > 0 and elapsed_s < most_s and not (is_looked_at and mean_error(times) <= error)


def _timed_update(system: System) -> tuple[float, Told]:
    """Seconds of one update, and what it told; nothing of it is left for the next one to wait for, or to free."""
    begin = time.perf_counter()
    found = system.update()
    system.synchronize()
    seconds = time.perf_counter() - begin
    told = system.told(found)
    system.check_finite()
    system.synchronize()
    return seconds, told


def time_of_the_timer(system: System) -> float:
    """Seconds that timing adds to an update: those of an update that does nothing (the median of some)."""
    readings = []
    for _ in range(TIMER_READINGS):
        mark = time.perf_counter()
        system.synchronize()
        readings.append(time.perf_counter() - mark)
    return median(readings)

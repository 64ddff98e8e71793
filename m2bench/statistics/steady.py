"""What a timed window says: from which update on it is steady, how fast it is, and how well that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from m2bench.records.results import TrialResult

from .change_points import change_points

LEAST_UPDATES = 8  # fewer do not show a change
LEAST_SEGMENT = 3  # updates; a shorter run of slow ones is a spike
PENALTY = 6.0  # times log n, per change point, in units of the noise's variance
STEADY_SHARE = 0.5  # of the window's time that the last segment must have
BELIEVABLE = 5.0  # standard deviations of the noise
MATTERS = 1.05  # a smaller change between segments is let pass: the noise of a short window is not known better
MAD_TO_SD = 1.4826
BATCHES = 8


def mean_error(update_s: Sequence[float]) -> float:
    """Relative standard error of the mean time of an update; infinite for a single one.

    By batch means, since neighbours resemble each other: Law & Kelton, "Simulation Modeling and Analysis", 2000, 9.5.
    """
    if len(update_s) < 2:
        return math.inf
    means = [float(np.mean(batch)) for batch in np.array_split(np.array(update_s), min(BATCHES, len(update_s)))]
    return stdev(means) / math.sqrt(len(means)) / fmean(means)


def steady_speed(result: TrialResult) -> float:
    """A trial's episodes per minute from its first steady update on.

    Over the whole window where it ends in no steady state.
    """
    first = steady_from(result.update_s) or 0
    return 60 * sum(result.window_units[first:]) / sum(result.update_s[first:])


def steady_from(update_s: Sequence[float]) -> int | None:
    """Index of the first steady update: 0 when all are, None when the window ends in no steady state.

    Change points of the mean of log seconds, with noise taken from the differences of neighbours. What comes before
    the last change point is warm-up, if what comes after it is most of the window.
    """
    return _steady_from(tuple(update_s))


@lru_cache(maxsize=4096)  # a report asks for the same window many times
def _steady_from(update_s: tuple[float, ...]) -> int | None:
    if len(update_s) < LEAST_UPDATES:
        return 0
    logs = np.log(update_s)
    steps = np.diff(logs)
    noise = MAD_TO_SD * float(np.median(np.abs(steps - np.median(steps)))) / math.sqrt(2)
    if noise == 0:
        noise = max(1e-9, float(np.std(steps)) / math.sqrt(2))
    # A spike is no change of the mean: what lies far off counts as the nearest that is still believable.
    middle = float(np.median(logs))
    logs = np.clip(logs, middle - BELIEVABLE * noise, middle + BELIEVABLE * noise)
    found = change_points(logs / noise, PENALTY * math.log(len(logs)), LEAST_SEGMENT)
    first = _last_that_matters(logs, [0, *found])
    return first if sum(update_s[first:]) >= STEADY_SHARE * sum(update_s) else None


def _last_that_matters(logs: NDArray[np.float64], starts: list[int]) -> int:
    """Start of the last segments that lie within MATTERS of each other."""
    first, ends = starts[-1], [*starts[1:], len(logs)]
    for start, end in zip(reversed(starts[:-1]), reversed(ends[:-1]), strict=True):
        if abs(float(logs[start:end].mean() - logs[first:].mean())) > math.log(MATTERS):
            break
        first = start
    return first

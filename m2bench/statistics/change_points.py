"""Where the mean of a series changes: exact change points by dynamic programming with pruning. Pure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def change_points(values: NDArray[np.float64], penalty: float, least: int) -> list[int]:
    """Indices, in rising order, at which a new segment of ``values``, shape (n,), begins; empty when one fits best.

    They minimize the sum of squared distances from each segment's mean, plus ``penalty`` (more than 0, in squared
    units of the values) for every change point, over all segmentations whose segments have ``least`` (>= 1) values or
    more. Exact: PELT (Killick, Fearnhead & Eckley, "Optimal detection of changepoints with a linear computational
    cost", 2012).
    """
    count = len(values)
    best = np.full(count + 1, math.inf)  # lowest total of the values before each index, with a penalty for each segment
    best[0] = 0.0
    last_start = np.zeros(count + 1, dtype=np.int64)  # of the last segment in that best segmentation
    # Of the segment from each start up to now. Updated value by value (Welford, 1962): differences of sums of squares
    # would lose all digits where the noise is small beside the steps.
    mean, cost = np.zeros(count), np.zeros(count)
    useful_until = np.full(count, count)
    starts = np.zeros(0, dtype=np.int64)  # that can still begin the last segment of a best segmentation
    for end in range(1, count + 1):
        starts = starts[useful_until[starts] >= end]
        if best[end - 1] < math.inf:
            starts = np.append(starts, end - 1)
        value = values[end - 1]
        distance = value - mean[starts]
        mean[starts] += distance / (end - starts)
        cost[starts] += distance * (value - mean[starts])
        total = best[starts] + cost[starts]
        long_enough = int(np.searchsorted(starts, end - least, side="right"))
        if not long_enough:
            continue
        chosen = int(np.argmin(total[:long_enough]))
        best[end], last_start[end] = total[chosen] + penalty, starts[chosen]
        # A change point here would serve these starts better from now on, once the segment after it is long enough.
        beaten = starts[total >= best[end]]
        useful_until[beaten] = np.minimum(useful_until[beaten], end + least - 1)
    found = []
    start = int(last_start[count])
    while start:
        found.append(start)
        start = int(last_start[start])
    return found[::-1]

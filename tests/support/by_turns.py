"""Two ways of doing the same, timed by turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats


def log_ratios(one: Callable[[], float], other: Callable[[], float], pairs: int) -> list[float]:
    """Log ratios of the seconds of both, run as AB, BA, AB, ... after one of each that does not count."""
    one(), other()
    ratios = []
    for pair in range(pairs):
        seconds = {run: run() for run in ((one, other) if pair % 2 == 0 else (other, one))}
        ratios.append(math.log(seconds[one] / seconds[other]))
    return ratios


def mean_ratio(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The geometric mean of the ratios between the ends of its 95 % t interval."""
    half = stats.t.ppf(0.975, len(ratios) - 1) * np.std(ratios, ddof=1) / math.sqrt(len(ratios))
    low, ratio, high = (math.exp(np.mean(ratios) + side * half) for side in (-1, 0, 1))
    return low, ratio, high

"""How far seeds scatter, with one way of learning and with another. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .distributions import chi_square_quantile
from .estimate import CONFIDENCE, Estimate

LEAST_SEEDS = 3
"""With fewer, nothing scatters where one is left out."""


def typical_factor(logs: Sequence[float]) -> Estimate | None:
    """The factor by which a typical seed is off: 1.3 is a third more or a quarter less. None where nothing scatters.

    It is e to the standard deviation of the logarithms, with the chi-square interval of that.
    """
    if len(logs) < 2 or not (deviation := float(np.std(logs, ddof=1))):
        return None
    degrees = len(logs) - 1
    low, high = (
        deviation * math.sqrt(degrees / chi_square_quantile(probability, degrees))
        for probability in ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2)
    )
    return Estimate(math.exp(deviation), (math.exp(low), math.exp(high)))


def scatter_ratio(over: ArrayLike, under: ArrayLike) -> Estimate | None:
    """The standard deviation over the seeds of ``over`` to that of ``under``, as a geometric mean over the pairs.

    Both are logarithms by pair and seed. The same seeds stand behind all of them, so that they are independent from
    seed to seed alone. The interval is that of the jackknife, which leaves out one seed after the other (Miller,
    "Jackknifing variances", 1968). None where a deviation cannot be told.
    """
    both = np.array([over, under], dtype=float)
    seeds = both.shape[-1]
    if seeds < LEAST_SEEDS or not both.size:
        return None
    without = [np.delete(both, seed, axis=-1) for seed in range(seeds)]
    if not all(each.std(axis=-1).all() for each in (both, *without)):
        return None
    full = _log_ratio(both)
    pseudo = [seeds * full - (seeds - 1) * _log_ratio(each) for each in without]
    return Estimate.from_log(full, float(np.std(pseudo, ddof=1)) / math.sqrt(seeds), seeds - 1)


def _log_ratio(both: NDArray[np.float64]) -> float:
    over, under = np.log(both.std(axis=-1, ddof=1))
    return float(np.mean(over - under))

"""Lines of speed by size, measured in blocks: their levels, which one leads where, and where the lead changes. Pure.

Blocks are few, so the scatter of one size is not known from its own trials: that of all sizes of a line is taken
together, in two parts. What all sizes share in a block is known by as many values as there are blocks, the rest by
more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np

from .distributions import t_quantile
from .estimate import CONFIDENCE, Estimate

BySize = Mapping[float, Mapping[int, float]]
"""Logarithms of a speed by size and block."""


@dataclass(frozen=True)
class LineScatter:
    """Mean squares of a table of sizes and blocks: of the blocks, which all sizes share, and of what is left."""

    sizes: int
    blocks: int
    shared: float
    rest: float

    @classmethod
    def of(cls, logs: BySize) -> LineScatter | None:
        """From the blocks in which every size was measured; None where these are fewer than two."""
        blocks = sorted(set.intersection(*(set(by_block) for by_block in logs.values()))) if logs else []
        if len(blocks) < 2:
            return None
        table = np.array([[by_block[block] for block in blocks] for by_block in logs.values()])
        by_block = table.mean(axis=0)
        left = table - by_block - table.mean(axis=1, keepdims=True) + table.mean()
        degrees = (len(logs) - 1) * (len(blocks) - 1)
        shared = len(logs) * float(by_block.var(ddof=1))
        return cls(len(logs), len(blocks), shared, float((left**2).sum()) / degrees if degrees else 0.0)

    def of_one(self) -> tuple[float, float]:
        """Variance of one trial and its degrees of freedom (Satterthwaite, "An approximate distribution of estimates
        of variance components", 1946): blocks are few, and what they share is known less well than the rest.
        """
        rest = (self.sizes - 1) * self.rest
        total, parts = self.shared + rest, self.shared**2 + (rest**2 / (self.sizes - 1) if rest else 0.0)
        return total / self.sizes, (self.blocks - 1) * (total**2 / parts if parts else 1.0)


def levels(logs: BySize, at_once: int) -> dict[float, Estimate]:
    """The geometric mean of each size from its logarithms by block.

    The intervals hold for ``at_once`` figures together (Bonferroni), so also for one that is chosen among them.
    """
    scatter = LineScatter.of(logs)
    return {size: _level(list(by_block.values()), scatter, at_once) for size, by_block in logs.items()}


def _level(logs: list[float], scatter: LineScatter | None, at_once: int) -> Estimate:
    mean = fmean(logs)
    if scatter is None:
        return Estimate(math.exp(mean))
    variance, degrees = scatter.of_one()
    if len(logs) > 1:
        variance = max(variance, stdev(logs) ** 2)  # a size may scatter more than the others
    se = math.sqrt(variance / len(logs))
    half = t_quantile(1 - (1 - CONFIDENCE) / (2 * at_once), degrees) * se
    return Estimate(math.exp(mean), (math.exp(mean - half), math.exp(mean + half)), se, None, degrees)


def ratios(one: BySize, other: BySize, at_once: int) -> dict[float, Estimate]:
    """One line over another at the sizes of both, within blocks, so that what a block shares cancels out."""
    apart = {
        size: {block: log - other[size][block] for block, log in by_block.items() if block in other[size]}
        for size, by_block in one.items()
        if size in other
    }
    return levels({size: by_block for size, by_block in sorted(apart.items()) if by_block}, at_once)


@dataclass(frozen=True)
class Crossing:
    """Where one line overtakes another: shown to be behind at ``low`` and ahead at ``high``, or the other way round.

    The interval from ``low`` to ``high`` holds wherever the leads at all sizes do. ``at``: where the means cross, as
    straight lines on logarithms.
    """

    low: float
    high: float
    at: float
    overtakes: bool
    """Whether the line leads above, and not below."""


def crossings(over_other: Mapping[float, Estimate]) -> list[Crossing]:
    """Every change of the lead between sizes at which it is shown, from the ratios of one line over another."""
    shown = [size for size, ratio in sorted(over_other.items()) if ratio.figure.shows_effect]
    return [
        Crossing(low, high, _meeting(over_other, low, high), over_other[high].ratio > 1)
        for low, high in pairwise(shown)
        if (over_other[low].ratio > 1) != (over_other[high].ratio > 1)
    ]


def _meeting(over_other: Mapping[float, Estimate], low: float, high: float) -> float:
    sizes = [size for size in sorted(over_other) if low <= size <= high]
    for left, right in pairwise(sizes):
        before, after = (math.log(over_other[size].ratio) for size in (left, right))
        if before * after <= 0 and before != after:
            share = before / (before - after)
            return math.exp(math.log(left) + share * math.log(right / left))
    raise AssertionError("means whose order changes have met")

"""A sequential test of speeds on the logarithmic scale, whose rate of false alarms is bounded for each verdict. Pure.

The data are looked at a few times, and alpha is divided among the looks. A metric is *slower* when the one-sided upper
t bound of its mean lies below the threshold, *passed* when the lower bound lies above it, else *undecided*. Several
metrics are gated together: one that is slower turns the gate red, so their bounds share alpha (Bonferroni); only all of
them passed make it green, so these bounds need not (Berger, "Multiparameter hypothesis testing and acceptance
sampling", 1982).
By the union bound over looks and metrics, code that is not slower than the threshold turns the gate red with a
probability of at most alpha; and code that is slower than it in any metric turns it green with at most alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from .distributions import t_quantile

FIRST_LOOK = 6  # blocks: with fewer, t bounds are too wide to decide anything
LEAST_BLOCKS = 3
POWER = 0.8  # of the smallest regression that is said to be found
MOST_BLOCKS = 1000  # that anybody would wait for
# What all trials of a job share, and its scatter does not show: standard deviations between jobs of equal code, on the
# logarithmic scale; see docs/decisions/011.
JOB_SD = 0.015  # of a speed over another one of the same job
JOB_LEVEL_SD = 0.03  # of episodes/min themselves

MetricState = Literal["slower", "passed", "undecided"]


def looks_until(max_blocks: int) -> tuple[int, ...]:
    """After how many blocks the data are looked at: 6, 10 and 14 for 14.

    Even numbers but for the last, so that each side went first equally often.
    """
    if max_blocks <= FIRST_LOOK:
        return (max_blocks,)
    return tuple(sorted({FIRST_LOOK, 2 * ((FIRST_LOOK + max_blocks) // 4), max_blocks}))


@dataclass(frozen=True)
class Mean:
    """A mean of logarithms with its standard error; ``sd``: of one block; ``blocks``: how many were measured;
    ``fixed_se``: the part of the error that more blocks do not lessen.
    """

    value: float
    se: float
    degrees: float
    sd: float
    blocks: int
    fixed_se: float = 0.0

    def lower(self, alpha: float) -> float:
        return self.value - t_quantile(1 - alpha, self.degrees) * self.se

    def upper(self, alpha: float) -> float:
        return self.value + t_quantile(1 - alpha, self.degrees) * self.se


def mean_of(logs: Sequence[float]) -> Mean:
    """The mean of one value per block; at least two."""
    mean, degrees = fmean(logs), len(logs) - 1
    sd = math.sqrt(sum((log - mean) ** 2 for log in logs) / degrees)
    return Mean(mean, sd / math.sqrt(len(logs)), degrees, sd, len(logs))


def difference(logs: Sequence[float], reference: Sequence[float], job_sd: float = 0.0) -> Mean:
    """The difference of the means of two independent samples: Welch, "The generalization of Student's problem", 1947.

    ``job_sd``: the known standard deviation of what is common to all of one sample, which its scatter does not show.
    """
    new, old = mean_of(logs), mean_of(reference)
    variance = new.se**2 + old.se**2 + 2 * job_sd**2
    parts = new.se**4 / new.degrees + old.se**4 / old.degrees
    degrees = variance**2 / parts if parts else new.degrees + old.degrees
    fixed_se = math.sqrt(old.se**2 + 2 * job_sd**2)
    return Mean(new.value - old.value, math.sqrt(variance), degrees, new.sd, new.blocks, fixed_se)


@dataclass(frozen=True)
class Rule:
    """``metrics`` are gated together, over at most ``max_blocks``, with a total rate of false alarms of ``alpha``."""

    alpha: float
    max_blocks: int
    metrics: int

    @property
    def looks(self) -> tuple[int, ...]:
        return looks_until(self.max_blocks)

    @property
    def alpha_to_pass(self) -> float:
        return self.alpha / len(self.looks)

    @property
    def alpha_to_fail(self) -> float:
        return self.alpha_to_pass / self.metrics

    def judge(self, mean: Mean, threshold: float) -> MetricState:
        """What one look says of a metric; ``threshold``: the least log value that is allowed."""
        if mean.upper(self.alpha_to_fail) < threshold:
            return "slower"
        return "passed" if mean.lower(self.alpha_to_pass) > threshold else "undecided"

    def smallest_found(self, mean: Mean, threshold: float) -> float:
        """The log value of the smallest regression that the last look finds with a probability of POWER."""
        degrees = self.max_blocks - 1
        reach = t_quantile(1 - self.alpha_to_fail, degrees) + t_quantile(POWER, degrees)
        return threshold - reach * _error_after(self.max_blocks, mean)

    def can_gate(self, mean: Mean, threshold: float) -> bool:
        """Whether unchanged code is more likely to pass, in all metrics, than to stay undecided."""
        return self.blocks_needed(mean, threshold) <= self.max_blocks

    def blocks_needed(self, mean: Mean, threshold: float) -> int:
        """The fewest with which unchanged code passes more often than not; at most MOST_BLOCKS."""
        blocks = LEAST_BLOCKS
        while self._reach_to_pass(blocks, mean) > -threshold and blocks < MOST_BLOCKS:
            blocks += 1
        return blocks

    def least_delta(self, mean: Mean) -> float:
        """The smallest share of the speed, in whole percent, that can be gated with all blocks."""
        return math.ceil(-100 * math.expm1(-self._reach_to_pass(self.max_blocks, mean))) / 100

    def _reach_to_pass(self, blocks: int, mean: Mean) -> float:
        """How far unchanged code must lie above the threshold to pass in half of all cases, each metric as noisy."""
        each = 0.5 ** (1 / self.metrics)  # the probability that a metric must have, for all of them pass or none do
        reach = t_quantile(1 - self.alpha_to_pass, blocks - 1) + t_quantile(each, blocks - 1)
        return reach * _error_after(blocks, mean)


def _error_after(blocks: int, mean: Mean) -> float:
    """The standard error that the mean would have after so many blocks."""
    return math.hypot(mean.sd / math.sqrt(blocks), mean.fixed_se)

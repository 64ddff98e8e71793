"""A ratio that was measured, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean, median, variance

from m2bench.records.figure import Figure

from .distributions import t_quantile, t_two_sided_p

CONFIDENCE = 0.95
ROUNDING = 1e-9  # of a logarithm: what is less comes from the computation
LEAST_DEGREES = 8  # of freedom: with fewer, trials tell too little of how much one scatters


@dataclass(frozen=True)
class Estimate:
    """A ratio with its 95 % t interval; ``log_se`` and ``p`` (against no effect) are on the log scale.

    All but the ratio are None where the run does not tell how noisy it is.
    """

    ratio: float
    interval: tuple[float, float] | None = None
    log_se: float | None = None
    p: float | None = None
    degrees: float | None = None

    @classmethod
    def from_log(cls, effect: float, se: float, degrees: float) -> Estimate:
        """From an effect on the log scale and its standard error. One as small as rounding is none."""
        effect = effect if abs(effect) > ROUNDING else 0.0
        half = t_quantile((1 + CONFIDENCE) / 2, degrees) * se
        p = t_two_sided_p(effect / se, degrees) if se else None
        return cls(math.exp(effect), (math.exp(effect - half), math.exp(effect + half)), se, p, degrees)

    @property
    def figure(self) -> Figure:
        """The ratio with its interval."""
        return Figure(self.ratio, self.interval)

    def over(self, other: Estimate) -> Estimate:
        """The ratio of this to an independent other, with the degrees of freedom of the one that has fewer."""
        effect = math.log(self.ratio / other.ratio)
        if self.log_se is None or other.log_se is None or self.degrees is None or other.degrees is None:
            return Estimate(math.exp(effect))
        exact = [estimate for estimate in (self, other) if not estimate.log_se]
        degrees = [estimate.degrees for estimate in (self, other) if estimate not in exact] or [self.degrees]
        se = math.hypot(self.log_se, other.log_se)
        return Estimate.from_log(effect, se, min(d for d in degrees if d is not None))

    def inverse(self) -> Estimate:
        """One over the ratio."""
        return replace(
            self, ratio=1 / self.ratio, interval=self.interval and (1 / self.interval[1], 1 / self.interval[0])
        )

    def scaled(self, factor: float) -> Estimate:
        """In another unit: ``factor`` times the value."""
        interval = self.interval and (factor * self.interval[0], factor * self.interval[1])
        return replace(self, ratio=factor * self.ratio, interval=interval)


def figure_of(estimate: Estimate | None) -> Figure | None:
    """The ratio with its interval; None of None."""
    return None if estimate is None else estimate.figure


def mean_ratio(logs: list[float], rounding: float = 0.0) -> Estimate | None:
    """The geometric mean of independent ratios from their logarithms, with an interval where there are two or more.

    ``rounding``: the variance of the rounding of a logarithm, which is added to their scatter.
    """
    if len(logs) < 2:
        return Estimate(math.exp(logs[0])) if logs else None
    return Estimate.from_log(fmean(logs), math.sqrt((variance(logs) + rounding) / len(logs)), len(logs) - 1)


def typical(values: Iterable[float]) -> Estimate | None:
    """The geometric mean of several trials' values with its t interval; the median alone where one of them is 0."""
    listed = list(values)
    if not listed or min(listed) > 0:
        return mean_ratio([math.log(value) for value in listed])
    return Estimate(median(listed))

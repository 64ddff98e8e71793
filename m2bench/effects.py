"""Effects of layers on a response, by ordinary least squares on its logarithm.

Logarithms make ratios add up: an effect is a difference of logs, and is reported as a ratio. One trial is one
observation; its mini-blocks take up what the machine did at that time. Two models:

- ``cells``: a mean for every combination, for single combinations and Shapley values;
- ``second order``: main effects and two-way interactions (factors coded -1/2, +1/2), for everything that is an
  average over combinations, and in place of the other where combinations are missing.

Box, Hunter & Hunter, "Statistics for Experimenters", 2005, chapters 5 and 9; for Shapley values as contrasts of cell
means, Shapley, "A value for n-person games", 1953.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations as subsets
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .spec import BASELINE, Layers

CONFIDENCE = 0.95
LEAST_DEGREES = 8  # of freedom: with fewer, replication tells too little of the noise
OUTLYING = 5.0  # robust standard deviations
ROUNDING = 1e-9
MAD_TO_SD = 1.4826  # the median absolute deviation of a normal distribution, inverted

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """One trial: its combination, the mini-blocks it lies in (an anchor between two lies in both), its response."""

    key: str
    layers: Layers
    mini_blocks: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class Estimate:
    """A ratio with its 95 % t interval; ``log_se`` and ``p`` (against no effect) are on the log scale.

    All but the ratio are None where the run does not tell how noisy it is.
    """

    ratio: float
    interval: tuple[float, float] | None = None
    log_se: float | None = None
    p: float | None = None
    degrees: int | None = None

    @classmethod
    def from_log(cls, effect: float, se: float, degrees: int) -> Estimate:
        """From an effect on the log scale and its standard error."""
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * se
        p = 2 * float(stats.t.sf(abs(effect) / se, degrees)) if se else None
        return cls(math.exp(effect), (math.exp(effect - half), math.exp(effect + half)), se, p, degrees)

    def over(self, other: Estimate) -> Estimate:
        """The ratio of this to an independent other, with the degrees of freedom of the one that has fewer."""
        effect = math.log(self.ratio / other.ratio)
        if self.log_se is None or other.log_se is None or self.degrees is None or other.degrees is None:
            return Estimate(math.exp(effect))
        exact = [estimate for estimate in (self, other) if not estimate.log_se]
        degrees = [estimate.degrees for estimate in (self, other) if estimate not in exact] or [self.degrees]
        se = math.hypot(self.log_se, other.log_se)
        return Estimate.from_log(effect, se, min(d for d in degrees if d is not None))


class Effects:
    """Least-squares fits of a response of the trials of one run.

    ``layers`` are those taking part. Combinations without an observation have no cell.
    """

    def __init__(self, layers: Layers, observations: Iterable[Observation]):
        self.layers = layers
        self.observations = list(observations)
        self.cells: list[Layers] = sorted({o.layers for o in self.observations}, key=lambda c: (len(c), c))
        self._y = np.log([o.value for o in self.observations])
        blocks = self._blocks()
        self._cell_fit = _Fit(np.hstack((self._cell_indicators(), blocks)), self._y)
        self._second_fit = _Fit(np.hstack((self._second_order_terms(), blocks)), self._y)

    def _cell_indicators(self) -> Floats:
        indicators = np.zeros((len(self.observations), len(self.cells)))
        columns = {cell: column for column, cell in enumerate(self.cells)}
        for row, observation in enumerate(self.observations):
            indicators[row, columns[observation.layers]] = 1.0
        return indicators

    def _blocks(self) -> Floats:
        """Share of each mini-block but the first in each observation: the first is the others' level."""
        numbers = sorted({number for o in self.observations for number in o.mini_blocks})
        return np.array(
            [[o.mini_blocks.count(number) / len(o.mini_blocks) for number in numbers[1:]] for o in self.observations]
        ).reshape(len(self.observations), max(0, len(numbers) - 1))

    @property
    def terms(self) -> list[tuple[str, ...]]:
        """The terms of the second-order model: the mean, each layer, each pair."""
        return [(), *((layer,) for layer in self.layers), *subsets(self.layers, 2)]

    def _second_order_terms(self) -> Floats:
        on = [[0.5 if layer in o.layers else -0.5 for layer in self.layers] for o in self.observations]
        factors = np.array(on).reshape(len(self.observations), len(self.layers))
        columns = [[self.layers.index(layer) for layer in term] for term in self.terms]
        return np.stack([factors[:, chosen].prod(axis=1) for chosen in columns], axis=1)

    @property
    def noise(self) -> tuple[float, int] | None:
        """Standard deviation of log(response) of one trial, and its degrees of freedom.

        From the scatter of repeated combinations; with next to none of them, from what the second-order model leaves
        over. None where neither says anything.
        """
        for fit in (self._cell_fit, self._second_fit):
            if fit.degrees >= LEAST_DEGREES:
                return fit.sigma, fit.degrees
        return None

    def contrast(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """exp(sum of weight x log response) over cells, at the run's average moment; None when one of them is missing.

        Weights that sum to 0 give a ratio, weights that sum to 1 a level of the response itself.
        """
        if not set(weights) <= set(self.cells):
            return None
        c = sum(weights.values()) * np.mean(self._cell_fit.design, axis=0)
        c[: len(self.cells)] = [weights.get(cell, 0.0) for cell in self.cells]
        return self._estimate(self._cell_fit, c)

    def level(self, layers: Layers) -> Estimate | None:
        """The response of one combination itself."""
        return self.contrast({layers: 1.0})

    def ratio(self, over: Layers, under: Layers = BASELINE) -> Estimate | None:
        """The response of one combination over that of another."""
        if over == under:
            return self.contrast({over: 0.0})
        return self.contrast({over: 1.0, under: -1.0})

    def main_effect(self, layer: str) -> Estimate | None:
        """The layer's ratio on over off, averaged over all combinations of the others."""
        return self._second_order((layer,))

    def interaction(self, pair: tuple[str, str]) -> Estimate | None:
        """The first layer's ratio with the second on, over its ratio with the second off."""
        return self._second_order(pair)

    def _second_order(self, term: tuple[str, ...]) -> Estimate | None:
        if not self._second_fit.full_rank:
            return None
        c = np.zeros(self._second_fit.terms)
        c[self.terms.index(term)] = 1.0
        return self._estimate(self._second_fit, c)

    def shapley(self, layer: str) -> tuple[Estimate | None, bool]:
        """The layer's Shapley value, and whether it rests on the second-order model since combinations are missing.

        The values of all layers multiply to the total speedup. (In a second-order model it is the main effect.)
        """
        exact = self.contrast(shapley_weights(self.layers, layer))
        return (exact, False) if exact is not None else (self.main_effect(layer), True)

    def lack_of_fit_p(self) -> float | None:
        """P of the F test that three-way and higher interactions are nothing; None without replication."""
        small, large = self._second_fit, self._cell_fit
        more = small.degrees - large.degrees
        if not small.full_rank or large.degrees < 1 or more < 1:
            return None
        f = (small.residual_squares - large.residual_squares) / more / (large.residual_squares / large.degrees)
        return float(stats.f.sf(f, more, large.degrees))

    def robust_main_effects(self) -> dict[str, float] | None:
        """Main effects by Huber's M-estimate, which an outlier moves little; to be shown beside, without intervals."""
        if not self._second_fit.full_rank or self._second_fit.degrees < LEAST_DEGREES:
            return None
        coefficients = self._second_fit.robust_coefficients()
        return {layer: math.exp(coefficients[self.terms.index((layer,))]) for layer in self.layers}

    def outliers(self) -> list[str]:
        """Keys of the trials that lie far from what a robust fit of the others expects of them."""
        fit = self._cell_fit if self._cell_fit.degrees >= LEAST_DEGREES else self._second_fit
        if fit.degrees < LEAST_DEGREES:
            return []
        residuals = self._y - fit.design @ fit.robust_coefficients()
        spread = MAD_TO_SD * float(np.median(np.abs(residuals)))
        # As many residuals as there are coefficients are nearly 0, whatever the noise.
        spread *= math.sqrt(len(self._y) / fit.degrees)
        far = np.abs(residuals) > max(OUTLYING * spread, ROUNDING)
        return [o.key for o, outlying in zip(self.observations, far, strict=True) if outlying]

    def _estimate(self, fit: _Fit, contrast: Floats) -> Estimate:
        effect = float(contrast @ fit.coefficients)
        if self.noise is None:
            return Estimate(math.exp(effect))
        sigma, degrees = self.noise
        return Estimate.from_log(effect, sigma * math.sqrt(float(contrast @ fit.inverse @ contrast)), degrees)


class _Fit:
    """Ordinary least squares of y on a design matrix."""

    def __init__(self, design: Floats, y: Floats):
        self.design = design
        self.terms = design.shape[1]
        # Inverse and rank from the same eigenvalues; columns may depend on each other.
        eigenvalues, vectors = np.linalg.eigh(design.T @ design)
        kept = eigenvalues > ROUNDING * max(eigenvalues.max(initial=0.0), 1.0)
        self.inverse: Floats = (vectors[:, kept] / eigenvalues[kept]) @ vectors[:, kept].T
        self.coefficients: Floats = self.inverse @ (design.T @ y)
        self.residuals = y - design @ self.coefficients
        rank = int(kept.sum())
        self.full_rank = rank == self.terms
        self.degrees = len(y) - rank
        self.residual_squares = float(self.residuals @ self.residuals)
        self._y = y
        self.sigma = math.sqrt(self.residual_squares / self.degrees) if self.degrees else math.nan

    def robust_coefficients(self) -> Floats:
        """By Huber's M-estimate, which an outlier moves little; the plain ones where there is no noise at all."""
        if self.sigma < ROUNDING:
            return self.coefficients
        from statsmodels.robust.robust_linear_model import RLM

        coefficients: Floats = RLM(self._y, self.design).fit().params
        return coefficients


def mean_ratio(logs: list[float]) -> Estimate | None:
    """The geometric mean of independent ratios from their logarithms, with an interval where there are two or more."""
    if len(logs) < 2:
        return Estimate(math.exp(logs[0])) if logs else None
    return Estimate.from_log(fmean(logs), stdev(logs) / math.sqrt(len(logs)), len(logs) - 1)


def shapley_weights(layers: Layers, layer: str) -> dict[Layers, float]:
    """The layer's Shapley value as a contrast of cell means: its effect averaged over all orders of switching on."""
    weights: dict[Layers, float] = {}
    others = [other for other in layers if other != layer]
    for size in range(len(layers)):
        weight = math.factorial(size) * math.factorial(len(layers) - size - 1) / math.factorial(len(layers))
        for chosen in subsets(others, size):
            weights[tuple(x for x in layers if x in chosen or x == layer)] = weight
            weights[chosen] = -weight
    return weights


def holm(p_values: list[float]) -> list[float]:
    """P values adjusted for their number by Holm's step-down rule."""
    from statsmodels.stats.multitest import multipletests

    adjusted: list[Any] = list(multipletests(p_values, method="holm")[1]) if p_values else []
    return [float(p) for p in adjusted]

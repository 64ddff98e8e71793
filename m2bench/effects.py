"""Effects of layers on a response, by ordinary least squares on its logarithm.

Logarithms make ratios add up: an effect is a difference of logs, and is reported as a ratio. One trial is one
observation; its mini-blocks take up what the machine did at that time. Two models:

- ``cells``: a mean for every combination, for single combinations and Shapley values;
- ``second order``: main effects and two-way interactions (factors coded -1/2, +1/2), for everything that is an
  average over combinations, and to predict combinations that are missing. A fraction that is too small for it has main
  effects alone, where its layers are balanced against each other; they mix with interactions then.

What the trials do not determine is None: an ill-posed fit has an answer, too, and a small error to go with it.

Box, Hunter & Hunter, "Statistics for Experimenters", 2005, chapters 5 and 9; for Shapley values as contrasts of cell
means, Shapley, "A value for n-person games", 1953.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations as subsets
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .distributions import f_tail, t_quantile, t_two_sided_p
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
        half = t_quantile((1 + CONFIDENCE) / 2, degrees) * se
        p = t_two_sided_p(effect / se, degrees) if se else None
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

    def inverse(self) -> Estimate:
        """One over it."""
        return replace(
            self, ratio=1 / self.ratio, interval=self.interval and (1 / self.interval[1], 1 / self.interval[0])
        )

    def scaled(self, factor: float) -> Estimate:
        """The same in another unit."""
        interval = self.interval and (factor * self.interval[0], factor * self.interval[1])
        return replace(self, ratio=factor * self.ratio, interval=interval)


def named(name: str, estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as two fields: the ratio, and its interval."""
    return {name: estimate and estimate.ratio, f"{name}_ci": estimate and estimate.interval}


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
        self._block_means: Floats = blocks.mean(axis=0) if len(blocks) else np.zeros(blocks.shape[1])
        self._indicators = self._cell_indicators()
        observed = [o.layers for o in self.observations]
        self._cell_fit = _Fit(np.hstack((self._indicators, blocks)), self._y)
        self._second_fit = _Fit(np.hstack((self._rows(observed, self.terms), blocks)), self._y)
        self._main_terms, self._main_fit = self.terms, self._second_fit
        if not self._second_fit.full_rank and self._is_balanced():
            self._main_terms = self.terms[: 1 + len(layers)]
            self._main_fit = _Fit(np.hstack((self._rows(observed, self._main_terms), blocks)), self._y)

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

    def _rows(self, combinations: list[Layers], terms: list[tuple[str, ...]]) -> Floats:
        """The terms' columns of the second-order model, a row per combination."""
        on = [[0.5 if layer in c else -0.5 for layer in self.layers] for c in combinations]
        factors = np.array(on).reshape(len(combinations), len(self.layers))
        columns = [[self.layers.index(layer) for layer in term] for term in terms]
        return np.stack([factors[:, chosen].prod(axis=1) for chosen in columns], axis=1)

    def _is_balanced(self) -> bool:
        """Whether every layer is on in half of the measured combinations, and in half of those with any other one."""
        columns = self._rows(self.cells, self.terms[: 1 + len(self.layers)])
        products = columns.T @ columns
        return len(self.cells) > 1 and bool(np.allclose(products, np.diag(np.diag(products))))

    @property
    def mixed(self) -> bool:
        """Whether main effects mix with interactions, which this design is too small to tell apart."""
        return self._main_fit is not self._second_fit

    @property
    def noise(self) -> tuple[float, int] | None:
        """Standard deviation of log(response) of one trial, and its degrees of freedom.

        From the scatter of repeated combinations; with next to none of them, from what the second-order model leaves
        over. None where neither says anything.
        """
        for fit in (self._cell_fit, self._second_fit, self._main_fit):
            if fit.degrees >= LEAST_DEGREES:
                return fit.sigma, fit.degrees
        return None

    def contrast(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """exp(sum of weight x log response) over cells, at the run's average moment; None when one of them is missing.

        None too when nothing ties them together: mini-blocks whose anchors failed are as good as other machines.
        Weights that sum to 0 give a ratio, weights that sum to 1 a level of the response itself.
        """
        if not set(weights) <= set(self.cells):
            return None
        return self._estimate(self._cell_fit, self._cell_contrast(weights))

    def _cell_contrast(self, weights: Mapping[Layers, float]) -> Floats:
        cells = [weights.get(cell, 0.0) for cell in self.cells]
        return np.concatenate((cells, sum(weights.values()) * self._block_means))

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
        return self._term(self._main_fit, self._main_terms, (layer,))

    def interaction(self, pair: tuple[str, str]) -> Estimate | None:
        """The first layer's ratio with the second on, over its ratio with the second off."""
        return self._term(self._second_fit, self.terms, pair)

    def _term(self, fit: _Fit, terms: list[tuple[str, ...]], term: tuple[str, ...]) -> Estimate | None:
        if not fit.full_rank or not set(term) <= set(self.layers):
            return None
        c = np.zeros(fit.terms)
        c[terms.index(term)] = 1.0
        return self._estimate(fit, c)

    def shapley(self, layer: str) -> tuple[Estimate | None, bool]:
        """The layer's Shapley value, and whether it rests on a model since combinations are missing.

        The values of all layers multiply to the total speedup. Missing combinations are predicted by the second-order
        model; in a main-effects model the value is the main effect.
        """
        if layer not in self.layers:
            return None, True
        weights = shapley_weights(self.layers, layer)
        if set(weights) <= set(self.cells):
            return self.contrast(weights), False
        if self._second_fit.full_rank:
            return self._partly_predicted(weights), True
        return self.main_effect(layer), True

    def share(self, layer: str) -> Estimate | None:
        """The layer's part of the logarithm of the total; None where there is next to nothing to share.

        Of two figures of one fit, with the interval of Fieller, "Some problems in interval estimation", 1954; without
        one where the layer's part rests on a model.
        """
        (part, modelled), total = self.shapley(layer), self.ratio(self.layers)
        if part is None or total is None or total.interval is None or total.interval[0] <= 1 <= total.interval[1]:
            return None
        share = math.log(part.ratio) / math.log(total.ratio)
        if modelled:
            return Estimate(share)
        return Estimate(share, self._fieller(shapley_weights(self.layers, layer), {self.layers: 1.0, BASELINE: -1.0}))

    def share_of(self, some: Sequence[str], among: Sequence[str]) -> Estimate:
        """The part of some layers in the logarithm of the gains of several, each of which is shown to gain.

        With the interval of Fieller; without one where a layer's Shapley value rests on a model.
        """
        values = {layer: self.shapley(layer) for layer in among}
        gains = {layer: math.log(value.ratio) for layer, (value, _) in values.items() if value is not None}
        share = sum(gains[layer] for layer in some) / sum(gains.values())
        if any(modelled for _, modelled in values.values()):
            return Estimate(share)
        over, under = (self._summed_weights(layers) for layers in (some, among))
        return Estimate(share, self._fieller(over, under))

    def _summed_weights(self, layers: Sequence[str]) -> dict[Layers, float]:
        """The logarithms of several Shapley values, summed, as one contrast of cell means."""
        summed: defaultdict[Layers, float] = defaultdict(float)
        for layer in layers:
            for cell, weight in shapley_weights(self.layers, layer).items():
                summed[cell] += weight
        return summed

    def _fieller(self, over: Mapping[Layers, float], under: Mapping[Layers, float]) -> tuple[float, float]:
        """The values of s for which over - s * under is not shown to differ from 0; under must be."""
        assert self.noise is not None
        sigma, degrees = self.noise
        contrasts = np.stack([self._cell_contrast(weights) for weights in (over, under)])
        a, b = contrasts @ self._cell_fit.coefficients
        margin = (sigma * t_quantile((1 + CONFIDENCE) / 2, degrees)) ** 2
        (aa, ab), (_, bb) = margin * contrasts @ self._cell_fit.inverse @ contrasts.T
        low, high = np.sort(np.roots([b * b - bb, -2 * (a * b - ab), a * a - aa]).real)
        return float(low), float(high)

    def _partly_predicted(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """The contrast with the second-order model's predictions in place of missing cells.

        The model is not right to the last: by how much it misses the cells that are there, beyond noise, it may miss
        the others, and that widens the interval.
        """
        missing = {cell: weight for cell, weight in weights.items() if cell not in self.cells}
        c_seen = self._cell_contrast({cell: weight for cell, weight in weights.items() if cell not in missing})
        shares = np.array(list(missing.values()))
        terms = shares @ self._rows(list(missing), self.terms)
        c_missing = np.concatenate((terms, shares.sum() * self._block_means))
        if not self._cell_fit.determines(c_seen):
            return None
        effect = float(c_seen @ self._cell_fit.coefficients + c_missing @ self._second_fit.coefficients)
        if self.noise is None:
            return Estimate(math.exp(effect))
        sigma, degrees = self.noise
        predicting = self._second_fit.weights(c_missing)
        noise = self._cell_fit.weights(c_seen) + predicting
        by_cell = self._indicators.T @ predicting
        variance = sigma**2 * noise @ noise + self._misfit_variance(sigma) * (shares @ shares + by_cell @ by_cell)
        return Estimate.from_log(effect, math.sqrt(float(variance)), degrees)

    def _misfit_variance(self, sigma: float) -> float:
        """Variance of the cells around the second-order model, beyond noise; all of sigma's where it holds both."""
        small, large = self._second_fit, self._cell_fit
        more = small.degrees - large.degrees
        if large.degrees < LEAST_DEGREES or more < 1:
            return sigma**2
        per_cell = len(self.observations) / len(self.cells)
        return max(0.0, ((small.residual_squares - large.residual_squares) / more - sigma**2) / per_cell)

    def lack_of_fit_p(self) -> float | None:
        """P of the F test that three-way and higher interactions are nothing; None without replication."""
        small, large = self._second_fit, self._cell_fit
        more = small.degrees - large.degrees
        if not small.full_rank or large.degrees < 1 or more < 1:
            return None
        f = (small.residual_squares - large.residual_squares) / more / (large.residual_squares / large.degrees)
        return f_tail(f, more, large.degrees)

    def robust_main_effects(self) -> dict[str, float] | None:
        """Main effects by Huber's M-estimate, which an outlier moves little; to be shown beside, without intervals."""
        if not self._main_fit.full_rank or self._main_fit.degrees < LEAST_DEGREES:
            return None
        coefficients = self._main_fit.robust_coefficients()
        return {layer: math.exp(coefficients[self._main_terms.index((layer,))]) for layer in self.layers}

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

    def _estimate(self, fit: _Fit, contrast: Floats) -> Estimate | None:
        if not fit.determines(contrast):
            return None
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
        self._basis: Floats = vectors[:, kept]
        self.inverse: Floats = (self._basis / eigenvalues[kept]) @ self._basis.T
        self.coefficients: Floats = self.inverse @ (design.T @ y)
        self.residuals = y - design @ self.coefficients
        rank = int(kept.sum())
        self.full_rank = rank == self.terms
        self.degrees = len(y) - rank
        self.residual_squares = float(self.residuals @ self.residuals)
        self._y = y
        self.sigma = math.sqrt(self.residual_squares / self.degrees) if self.degrees else math.nan

    def determines(self, contrast: Floats) -> bool:
        """Whether the data say anything of the contrast: it lies in the row space of the design."""
        return bool(np.allclose(self._basis @ (self._basis.T @ contrast), contrast, atol=1e-6))

    def weights(self, contrast: Floats) -> Floats:
        """What each observation adds to the estimate of the contrast."""
        return self.design @ (self.inverse @ contrast)

    def robust_coefficients(self) -> Floats:
        """By Huber's M-estimate, which an outlier moves little; the plain ones where there is no noise at all."""
        if self.sigma < ROUNDING:
            return self.coefficients
        from statsmodels.robust.robust_linear_model import RLM

        # On the basis the design has full rank whatever its columns do.
        coefficients: Floats = self._basis @ RLM(self._y, self.design @ self._basis).fit().params
        return coefficients


def mean_ratio(logs: list[float]) -> Estimate | None:
    """The geometric mean of independent ratios from their logarithms, with an interval where there are two or more."""
    if len(logs) < 2:
        return Estimate(math.exp(logs[0])) if logs else None
    return Estimate.from_log(fmean(logs), stdev(logs) / math.sqrt(len(logs)), len(logs) - 1)


def typical(values: Iterable[float]) -> Estimate | None:
    """The geometric mean of several trials' values with its t interval; the median alone where one of them is 0."""
    listed = list(values)
    if not listed or min(listed) > 0:
        return mean_ratio([math.log(value) for value in listed])
    return Estimate(median(listed))


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
    """P values adjusted for their number.

    By the step-down rule of Holm, "A simple sequentially rejective multiple test procedure", 1979: the smallest is
    multiplied by their number, the next by one less, and none may come out below one that was smaller.
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for left, index in zip(range(len(p_values), 0, -1), np.argsort(p_values), strict=True):
        least = max(least, min(1.0, left * p_values[index]))
        adjusted[index] = least
    return adjusted

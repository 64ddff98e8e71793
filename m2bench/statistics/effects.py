"""Effects of layers on a response, by ordinary least squares on its logarithm.

Logarithms make ratios add up: an effect is a difference of logs, and is reported as a ratio. One trial is one
observation; its mini-blocks take up what the machine did at that time. Two models:

- ``cells``: a mean for every combination, for single combinations and Shapley values;
- ``second order``: main effects and two-way interactions (factors coded -1/2, +1/2), for everything that is an
  average over combinations, and to predict combinations that are missing. A fraction that is too small for it has main
  effects alone, where its layers are balanced against each other; they mix with interactions then.

What the trials do not determine is None: an ill-posed fit has an answer, too, and a small error to go with it.

Where layers need or exclude each other, averages are over the combinations that can be. The second-order model has an
interaction of two layers where each can be on and off beside the other; such terms are all told apart by the
combinations that can be (each is the indicator of the smallest combination that holds its layers, up to terms below).

Box, Hunter & Hunter, "Statistics for Experimenters", 2005, chapters 5 and 9; for Shapley values as contrasts of cell
means, Shapley, "A value for n-person games", 1953; over the orders that are possible, Faigle & Kern, "The Shapley value
for cooperative games under precedence constraints", 1992.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations as subsets

import numpy as np

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.rules import NO_RULES, Rules

from .distributions import f_tail, t_quantile
from .estimate import CONFIDENCE, LEAST_DEGREES, Estimate
from .least_squares import MAD_TO_SD, ROUNDING, Fit, Floats, Scatter, measure_scatter

OUTLYING = 5.0  # robust standard deviations


@dataclass(frozen=True)
class Observation:
    """One trial: its combination, the mini-blocks it lies in (an anchor between two lies in both), its response."""

    key: str
    layers: Layers
    mini_blocks: tuple[int, ...]
    value: float


class Effects:
    """Least-squares fits of a response of the trials of one run.

    ``layers`` are those taking part. Combinations without an observation have no cell.
    """

    def __init__(self, layers: Layers, observations: Iterable[Observation], rules: Rules = NO_RULES):
        self.layers = layers
        self.rules = rules
        self.observations = list(observations)
        self.cells: list[Layers] = sorted({o.layers for o in self.observations}, key=lambda c: (len(c), c))
        self.log_response = np.log([o.value for o in self.observations])
        self.blocks: Floats = self._shares_of_blocks()
        self.block_means: Floats = self.blocks.mean(axis=0) if len(self.blocks) else np.zeros(self.blocks.shape[1])
        self.indicators: Floats = self._cell_indicators()
        observed = [o.layers for o in self.observations]
        self._cell_fit = Fit(np.hstack((self.indicators, self.blocks)), self.log_response)
        self._second_fit = Fit(np.hstack((self.rows(observed, self.terms), self.blocks)), self.log_response)
        self._main_terms, self._main_fit = self.terms, self._second_fit
        if not rules and not self._second_fit.full_rank and self._is_balanced():
            self._main_terms = self.terms[: 1 + len(layers)]
            main = np.hstack((self.rows(observed, self._main_terms), self.blocks))
            self._main_fit = Fit(main, self.log_response)
        self.scatter = self._measure_scatter()
        if self.scatter is not None and self.scatter.sd > ROUNDING:
            relative = np.maximum(self.scatter.variances / self.scatter.sd**2, ROUNDING)
            fits = (self._cell_fit, self._second_fit, self._main_fit)
            weighted = {fit: Fit(fit.design, self.log_response, relative) for fit in {*fits}}  # the last two may be one
            self._cell_fit, self._second_fit, self._main_fit = (weighted[fit] for fit in fits)

    def _measure_scatter(self) -> Scatter | None:
        """From the scatter of repeated combinations; with next to none of them, from what the other models leave over.

        None where nothing says anything.
        """
        on = np.array([[layer in o.layers for layer in self.layers] for o in self.observations], dtype=bool)
        for fit in (self._cell_fit, self._second_fit, self._main_fit):
            if fit.degrees >= LEAST_DEGREES:
                return measure_scatter(self.layers, on.reshape(len(self.log_response), len(self.layers)), fit)
        return None

    def _cell_indicators(self) -> Floats:
        indicators = np.zeros((len(self.observations), len(self.cells)))
        columns = {cell: column for column, cell in enumerate(self.cells)}
        for row, observation in enumerate(self.observations):
            indicators[row, columns[observation.layers]] = 1.0
        return indicators

    def _shares_of_blocks(self) -> Floats:
        """Share of each mini-block but the first in each observation: the first is the others' level."""
        numbers = sorted({number for o in self.observations for number in o.mini_blocks})
        columns = {number: column for column, number in enumerate(numbers)}
        shares = np.zeros((len(self.observations), len(numbers)))
        for row, observation in enumerate(self.observations):
            for number in observation.mini_blocks:
                shares[row, columns[number]] += 1 / len(observation.mini_blocks)
        return shares[:, 1:]

    @cached_property
    def terms(self) -> list[Layers]:
        """The terms of the second-order model: the mean, each layer, each pair of layers that can meet."""
        return [(), *((layer,) for layer in self.layers), *filter(self.rules.can_meet, subsets(self.layers, 2))]

    def rows(self, combinations: list[Layers], terms: list[Layers]) -> Floats:
        """The terms' columns of the second-order model, a row per combination."""
        on = [[0.5 if layer in c else -0.5 for layer in self.layers] for c in combinations]
        factors = np.array(on).reshape(len(combinations), len(self.layers))
        columns = [[self.layers.index(layer) for layer in term] for term in terms]
        return np.stack([factors[:, chosen].prod(axis=1) for chosen in columns], axis=1)

    def _is_balanced(self) -> bool:
        """Whether every layer is on in half of the measured combinations, and in half of those with any other one."""
        columns = self.rows(self.cells, self.terms[: 1 + len(self.layers)])
        products = columns.T @ columns
        return len(self.cells) > 1 and bool(np.allclose(products, np.diag(np.diag(products))))

    @property
    def is_replicated(self) -> bool:
        """Whether repeated trials of the same combinations tell how much one scatters."""
        return self._cell_fit.degrees >= LEAST_DEGREES

    def blocks_missing(self, blocks: int) -> int:
        """How many more blocks, like those that there are, make the trials tell how much one scatters."""
        told = max(self._cell_fit.degrees, self._second_fit.degrees)
        each = (len(self.observations) - self.blocks.shape[1] - 1) / blocks
        return math.ceil((LEAST_DEGREES - told) / each) if told < LEAST_DEGREES and each > 0 else 0

    @property
    def has_second_order(self) -> bool:
        """Whether the trials determine all main effects and two-way interactions."""
        return bool(self._second_fit.full_rank)

    @property
    def mixed(self) -> bool:
        """Whether main effects mix with interactions, which this design is too small to tell apart."""
        return self._main_terms != self.terms

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
        return np.concatenate((cells, sum(weights.values()) * self.block_means))

    def level(self, layers: Layers) -> Estimate | None:
        """The response of one combination itself."""
        return self.contrast({layers: 1.0})

    def ratio(self, over: Layers, under: Layers = BASELINE) -> Estimate | None:
        """The response of one combination over that of another."""
        if over == under:
            return self.contrast({over: 0.0})
        return self.contrast({over: 1.0, under: -1.0})

    def alone(self, layer: str) -> Estimate | None:
        """The layer over the baseline; with what it needs, over what it needs."""
        return self.ratio(*self.rules.alone(layer, self.layers)) if layer in self.layers else None

    def last(self, layer: str) -> Estimate | None:
        """All layers over all but this one, as far as they can be on together (``Rules.last``)."""
        return self.ratio(*self.rules.last(layer, self.layers)) if layer in self.layers else None

    @property
    def all_together(self) -> Layers:
        """All layers; of some that exclude each other, the first."""
        return self.rules.fullest(self.layers)

    def main_effect(self, layer: str) -> Estimate | None:
        """The layer's ratio on over off, averaged over all combinations of the others beside which it can be both."""
        if not self.rules or layer not in self.layers:
            return self._term(self._main_fit, self._main_terms, (layer,))
        if not self._main_fit.full_rank:
            return None
        rows = self._allowed_rows
        without = {c: tuple(other for other in c if other != layer) for c in rows if layer in c}
        gains = [rows[c] - rows[below] for c, below in without.items() if below in rows]
        # It says nothing of the mini-blocks.
        contrast = np.concatenate((np.mean(gains, axis=0), np.zeros(self.blocks.shape[1])))
        return self._model_estimate(self._main_fit, contrast)

    @cached_property
    def _allowed_rows(self) -> dict[Layers, Floats]:
        """Every combination that can be, with its row of the second-order model."""
        allowed = self.rules.allowed(self.layers)
        return dict(zip(allowed, self.rows(allowed, self.terms), strict=True))

    def interaction(self, pair: tuple[str, str]) -> Estimate | None:
        """The first layer's ratio with the second on, over that with the second off; None where they never meet."""
        return self._term(self._second_fit, self.terms, pair)

    def term(self, layers: Layers, saturated: bool) -> Estimate | None:
        """The main effect or interaction of these layers: from cell means, or from the second-order model.

        On one scale for all: half of the combinations over the other half.
        """
        if not saturated:
            return self._term(self._second_fit, self.terms, layers, 2.0 ** (1 - len(layers)))
        signs = {cell: math.prod(1 if layer in cell else -1 for layer in layers) for cell in self.cells}
        return self.contrast({cell: sign * 2 / len(self.cells) for cell, sign in signs.items()})

    def _term(self, fit: Fit, terms: list[Layers], term: Layers, scale: float = 1.0) -> Estimate | None:
        if not fit.full_rank or term not in terms:
            return None
        c = np.zeros(fit.terms)
        c[terms.index(term)] = scale
        return self._model_estimate(fit, c)

    def shapley(self, layer: str) -> tuple[Estimate | None, bool]:
        """The layer's Shapley value, and whether it rests on a model since combinations are missing.

        The values of all layers multiply to the total speedup. Missing combinations are predicted by the second-order
        model; in a main-effects model the value is the main effect. Over orders in which a layer comes after what it
        needs, in the largest combination that holds it: for one that another layer in ``all_together`` excludes, that
        is another combination, in which it has the place of the other one.
        """
        if layer not in self.layers:
            return None, True
        weights = self.shapley_weights(layer)
        if set(weights) <= set(self.cells):
            return self.contrast(weights), False
        if self._second_fit.full_rank:
            return self._partly_predicted(weights), True
        return self.main_effect(layer), True

    def shapley_weights(self, layer: str) -> Mapping[Layers, float]:
        """The layer's Shapley value as a contrast of cells."""
        return shapley_weights(self.rules.fullest(self.layers, (layer,)), layer, self.rules)

    def share(self, layer: str) -> Estimate | None:
        """The layer's part of the logarithm of the total; None where there is next to nothing to share, or no part.

        Of two figures of one fit, with the interval of Fieller, "Some problems in interval estimation", 1954; without
        one where the layer's part rests on a model.
        """
        (part, modelled), total = self.shapley(layer), self.ratio(self.all_together)
        if layer not in self.all_together:
            return None
        if part is None or total is None or total.interval is None or total.interval[0] <= 1 <= total.interval[1]:
            return None
        share = math.log(part.ratio) / math.log(total.ratio)
        if modelled:
            return Estimate(share)
        return Estimate(share, self._fieller(self.shapley_weights(layer), {self.all_together: 1.0, BASELINE: -1.0}))

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
            for cell, weight in self.shapley_weights(layer).items():
                summed[cell] += weight
        return summed

    def _fieller(self, over: Mapping[Layers, float], under: Mapping[Layers, float]) -> tuple[float, float]:
        """The values of s for which over - s * under is not shown to differ from 0; under must be."""
        assert self.scatter is not None
        contrasts = np.stack([self._cell_contrast(weights) for weights in (over, under)])
        a, b = contrasts @ self._cell_fit.coefficients
        weights = np.stack([self._cell_fit.weights(contrast) for contrast in contrasts])
        degrees = min(self.scatter.of_weights(row)[1] for row in weights)
        margin = t_quantile((1 + CONFIDENCE) / 2, degrees) ** 2
        (aa, ab), (_, bb) = margin * (weights * self.scatter.variances) @ weights.T
        low, high = np.sort(np.roots([b * b - bb, -2 * (a * b - ab), a * a - aa]).real)
        return float(low), float(high)

    def _partly_predicted(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """The contrast with the second-order model's predictions in place of missing cells.

        The model is not right to the last: by how much it misses the cells that are there, beyond noise, it may miss
        the others, and that widens the interval.
        """
        seen = {*self.cells}
        missing = {cell: weight for cell, weight in weights.items() if cell not in seen}
        c_seen = self._cell_contrast({cell: weight for cell, weight in weights.items() if cell not in missing})
        shares = np.array(list(missing.values()))
        terms = shares @ np.array([self._allowed_rows[cell] for cell in missing])
        c_missing = np.concatenate((terms, shares.sum() * self.block_means))
        if not self._cell_fit.determines(c_seen):
            return None
        effect = float(c_seen @ self._cell_fit.coefficients + c_missing @ self._second_fit.coefficients)
        if self.scatter is None:
            return Estimate(math.exp(effect))
        predicting = self._second_fit.weights(c_missing)
        by_cell = self.indicators.T @ predicting
        se, degrees = self.scatter.of_weights(self._cell_fit.weights(c_seen) + predicting)
        variance = se**2 + self._misfit_variance * (shares @ shares + by_cell @ by_cell)
        return Estimate.from_log(effect, math.sqrt(float(variance)), degrees)

    def misfit_of(self, weights: Mapping[Layers, float]) -> float:
        """What the second-order model's misfit adds to the variance of this contrast, if the model predicts all of it.

        It may miss each of these combinations, and those that its terms are known from.
        """
        shares = np.array(list(weights.values()))
        by_cell = self._terms_by_cell @ sum(weight * self._allowed_rows[layers] for layers, weight in weights.items())
        return self._misfit_variance * float(shares @ shares + by_cell @ by_cell)

    @cached_property
    def _terms_by_cell(self) -> Floats:
        """What each cell adds to the second-order model's terms (cells, terms)."""
        fit = self._second_fit
        weights = fit.design @ fit.inverse[:, : len(self.terms)] / fit.variances[:, None]
        by_cell: Floats = self.indicators.T @ weights
        return by_cell

    @cached_property
    def _misfit_variance(self) -> float:
        """Variance of the cells around the second-order model, beyond noise; all of the noise's where it holds both."""
        assert self.scatter is not None
        small, large = self._second_fit, self._cell_fit
        more = small.degrees - large.degrees
        if large.degrees < LEAST_DEGREES or more < 1:
            return self.scatter.sd**2
        per_cell = len(self.observations) / len(self.cells)
        return max(0.0, ((small.residual_squares - large.residual_squares) / more - large.variance) / per_cell)

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
        if self.rules or not self._main_fit.full_rank or self._main_fit.degrees < LEAST_DEGREES:
            return None  # (a coefficient is no average where layers need or exclude each other)
        coefficients = self._main_fit.robust_coefficients()
        return {layer: math.exp(coefficients[self._main_terms.index((layer,))]) for layer in self.layers}

    def outliers(self) -> list[str]:
        """Keys of the trials that lie far from what a robust fit of the others expects of them."""
        fit = self._cell_fit if self._cell_fit.degrees >= LEAST_DEGREES else self._second_fit
        if fit.degrees < LEAST_DEGREES:
            return []
        residuals = (self.log_response - fit.design @ fit.robust_coefficients()) / np.sqrt(fit.variances)
        spread = MAD_TO_SD * float(np.median(np.abs(residuals)))
        # As many residuals as there are coefficients are nearly 0, whatever the noise.
        spread *= math.sqrt(len(self.log_response) / fit.degrees)
        far = np.abs(residuals) > max(OUTLYING * spread, ROUNDING)
        return [o.key for o, outlying in zip(self.observations, far, strict=True) if outlying]

    def _estimate(self, fit: Fit, contrast: Floats, misfit_variance: float = 0.0) -> Estimate | None:
        if not fit.determines(contrast):
            return None
        effect = float(contrast @ fit.coefficients)
        if self.scatter is None:
            return Estimate(math.exp(effect))
        weights = fit.weights(contrast)
        se, degrees = self.scatter.of_weights(weights)
        by_cell = self.indicators.T @ weights if misfit_variance else np.zeros(1)
        return Estimate.from_log(effect, math.sqrt(se**2 + misfit_variance * float(by_cell @ by_cell)), degrees)

    def _model_estimate(self, fit: Fit, contrast: Floats) -> Estimate | None:
        """An average over combinations, some of which are missing perhaps: those that there are may be special.

        How far the second-order model misses them, beyond noise, widens the interval then. Without repeated trials it
        is part of the scatter already.
        """
        is_complete = len(self.cells) == len(self._allowed_rows)
        known = self.is_replicated and self.has_second_order and not is_complete
        return self._estimate(fit, contrast, self._misfit_variance if known else 0.0)


@lru_cache(maxsize=64)
def shapley_weights(layers: Layers, layer: str, rules: Rules = NO_RULES) -> Mapping[Layers, float]:
    """The layer's Shapley value as a contrast of cell means: its effect averaged over all orders of switching on.

    ``layers`` can all be on together; the orders are those in which each comes after what it needs.
    """
    before, after = _orders(layers, rules)
    orders = before[layers]
    weights: dict[Layers, float] = {}
    for combination, to_here in before.items():
        joined = tuple(x for x in layers if x in combination or x == layer)
        if layer not in combination and joined in before:
            weights[joined] = to_here * after[joined] / orders
            weights[combination] = -weights[joined]
    return weights


@lru_cache(maxsize=64)
def _orders(layers: Layers, rules: Rules) -> tuple[dict[Layers, int], dict[Layers, int]]:
    """In how many orders one comes from no layer to each combination that can be, and from there to all of them."""
    allowed = rules.allowed(layers)
    before, after = dict.fromkeys(allowed, 0), dict.fromkeys(allowed, 0)
    before[BASELINE] = after[layers] = 1
    steps = [
        (combination, joined)
        for combination in allowed
        for layer in layers
        if layer not in combination
        if (joined := tuple(x for x in layers if x in combination or x == layer)) in before
    ]
    for combination, joined in steps:
        before[joined] += before[combination]
    for combination, joined in reversed(steps):
        after[combination] += after[joined]
    return before, after


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

"""Effects of layers on a response: contrasts of the fits of a factorial (factorial.py), as ratios.

What the trials do not determine is None: an ill-posed fit also has an answer, and a small error to go with it.

Single combinations and Shapley values are contrasts of cell means. Averages over combinations, and predictions of
missing ones, come from the second-order model. Where layers need or exclude each other, averages are over the
combinations that are allowed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from m2bench.records.combinations import BASELINE, Layers

from .distributions import t_quantile
from .estimate import CONFIDENCE, LEAST_DEGREES, Estimate
from .factorial import Factorial
from .least_squares import Floats
from .shapley import shapley_weights


class Effects(Factorial):
    """What the layers of a run do to a response."""

    def contrast(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """exp(sum of weight x log response) over cells, at the run's average moment.

        None when a cell is missing, or when nothing ties the cells together, as mini-blocks whose anchors failed.
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
        """The layer over the baseline. Of a layer that needs others: all of them over the others."""
        return self.ratio(*self.rules.alone(layer, self.layers)) if layer in self.layers else None

    def last(self, layer: str) -> Estimate | None:
        """All layers over all but this one, as far as they can be on together (``Rules.last``)."""
        return self.ratio(*self.rules.last(layer, self.layers)) if layer in self.layers else None

    @property
    def all_together(self) -> Layers:
        """All layers; of some that exclude each other, the first."""
        return self.rules.fullest(self.layers)

    def main_effect(self, layer: str) -> Estimate | None:
        """The ratio of the layer on to off, averaged over all combinations of the others that allow both."""
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

    def robust_main_effects(self) -> dict[str, float] | None:
        """Main effects by Huber's M-estimate, which an outlier moves little; without intervals."""
        if self.rules or not self._main_fit.full_rank or self._main_fit.degrees < LEAST_DEGREES:
            return None  # (a coefficient is no average where layers need or exclude each other)
        coefficients = self._main_fit.robust_coefficients()
        return {layer: math.exp(coefficients[self._main_terms.index((layer,))]) for layer in self.layers}

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

    def shapley(self, layer: str) -> tuple[Estimate | None, bool]:
        """The layer's Shapley value, and whether it rests on a model because combinations are missing.

        The values of all layers multiply to the total speedup. Missing combinations are predicted by the second-order
        model; without that, the value is the main effect. The orders are those in which each layer comes after what it
        needs, up to the largest combination with this layer. A layer of ``all_together`` that excludes it is replaced
        by it there.
        """
        if layer not in self.layers:
            return None, True
        weights = self.shapley_weights(layer)
        if weights is None:
            return self.main_effect(layer), True
        if set(weights) <= set(self.cells):
            return self.contrast(weights), False
        return self._partly_predicted(weights), True

    def shapley_weights(self, layer: str) -> Mapping[Layers, float] | None:
        """The layer's Shapley value as a contrast of cells; None where some are missing and cannot be predicted."""
        fullest = self.rules.fullest(self.layers, (layer,))
        within = [cell for cell in self.cells if {*cell} <= {*fullest}]
        if not self.has_second_order and self.rules.allows_more_than(len(within), fullest):
            return None
        return shapley_weights(fullest, layer, self.rules)

    def share(self, layer: str) -> Estimate | None:
        """The layer's share of the logarithm of the total.

        None where the total is not shown to differ from 1, or the layer is not in it. The interval is that of Fieller,
        "Some problems in interval estimation", 1954; there is none where the Shapley value rests on a model.
        """
        (part, modelled), total = self.shapley(layer), self.ratio(self.all_together)
        if layer not in self.all_together:
            return None
        if part is None or total is None or total.interval is None or total.interval[0] <= 1 <= total.interval[1]:
            return None
        share, weights = math.log(part.ratio) / math.log(total.ratio), self.shapley_weights(layer)
        if modelled or weights is None:
            return Estimate(share)
        return Estimate(share, self._fieller(weights, {self.all_together: 1.0, BASELINE: -1.0}))

    def share_of(self, some: Sequence[str], among: Sequence[str]) -> Estimate:
        """The share of ``some`` layers in the logarithm of the gains of several, ``among``, all shown to gain.

        The interval is Fieller's; there is none where a Shapley value rests on a model.
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
            for cell, weight in (self.shapley_weights(layer) or {}).items():
                summed[cell] += weight
        return summed

    def _fieller(self, over: Mapping[Layers, float], under: Mapping[Layers, float]) -> tuple[float, float]:
        """The interval of a ratio of contrasts: all s for which over - s * under is not shown to differ from 0.

        ``under`` must be shown to differ from 0.
        """
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

        The model may miss a missing cell by as much as it misses the measured ones beyond noise. That widens the
        interval.
        """
        seen = {*self.cells}
        missing = {cell: weight for cell, weight in weights.items() if cell not in seen}
        c_seen = self._cell_contrast({cell: weight for cell, weight in weights.items() if cell not in missing})
        shares = np.array(list(missing.values()))
        terms = shares @ self.rows([*missing], self.terms)
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

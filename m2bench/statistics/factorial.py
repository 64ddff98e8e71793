"""Least-squares fits of a response to a factorial of layers, on its logarithm.

Logarithms make ratios add up: an effect is a difference of logarithms, and is reported as a ratio. One trial is one
observation. The mini-blocks that it lies in take up what the machine did at that time. There are two models:

- ``cells``: a mean for every combination;
- ``second order``: main effects and two-way interactions, with factors coded -1/2 and +1/2. A fraction that is too
  small for all of them has main effects alone if its layers are balanced against each other. These are then mixed with
  interactions.

Where layers need or exclude each other, the second-order model has an interaction of two layers if each can be on and
off beside the other. The combinations that are allowed tell all such terms apart: each term is the indicator of the
smallest combination that holds its layers, up to terms of lower order.

Box, Hunter & Hunter, "Statistics for Experimenters", 2005, chapters 5 and 9.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations as subsets

import numpy as np

from m2bench.records.combinations import Layers
from m2bench.records.rules import NO_RULES, Rules

from .distributions import f_tail
from .estimate import LEAST_DEGREES, ROUNDING, Estimate
from .least_squares import MAD_TO_SD, Fit, Floats, Scatter, measure_scatter

OUTLYING = 5.0  # robust standard deviations


@dataclass(frozen=True)
class Observation:
    """One trial: its combination, the mini-blocks that it lies in (both beside an anchor), and its response."""

    key: str
    layers: Layers
    mini_blocks: tuple[int, ...]
    value: float


class Factorial:
    """The observations of one run, and the fits of both models to them.

    ``layers`` are those that take part. Combinations without an observation have no cell.
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
        """The scatter of trials, from repeated combinations; with too few of them, from the other models' residuals.

        None where no model leaves enough degrees of freedom.
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
        """Share of each mini-block but the first, which is the reference, in each observation (n, blocks - 1)."""
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
        """The terms' columns of the second-order model (combinations, terms)."""
        on = [[0.5 if layer in c else -0.5 for layer in self.layers] for c in combinations]
        factors = np.array(on).reshape(len(combinations), len(self.layers))
        columns = [[self.layers.index(layer) for layer in term] for term in terms]
        return np.stack([factors[:, chosen].prod(axis=1) for chosen in columns], axis=1)

    def _is_balanced(self) -> bool:
        """Whether every layer is on in half of the measured combinations, and in half of those with any other one."""
        columns = self.rows(self.cells, self.terms[: 1 + len(self.layers)])
        products = columns.T @ columns
        return len(self.cells) > 1 and bool(np.allclose(products, np.diag(np.diag(products))))

    @cached_property
    def _allowed_rows(self) -> dict[Layers, Floats]:
        """Every combination that can be, with its row of the second-order model."""
        allowed = self.rules.allowed(self.layers)
        return dict(zip(allowed, self.rows(allowed, self.terms), strict=True))

    @property
    def is_replicated(self) -> bool:
        """Whether repeated trials of the same combinations tell how much one scatters."""
        return self._cell_fit.degrees >= LEAST_DEGREES

    def blocks_missing(self, blocks: int) -> int:
        """How many more blocks it takes until the trials show how much one of them scatters."""
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

    def lack_of_fit_p(self) -> float | None:
        """P of the F test that all interactions of three or more layers are zero; None without replication."""
        small, large = self._second_fit, self._cell_fit
        more = small.degrees - large.degrees
        if not small.full_rank or large.degrees < 1 or more < 1:
            return None
        f = (small.residual_squares - large.residual_squares) / more / (large.residual_squares / large.degrees)
        return f_tail(f, more, large.degrees)

    def outliers(self) -> list[str]:
        """Keys of the trials that lie far from a robust fit."""
        fit = self._cell_fit if self._cell_fit.degrees >= LEAST_DEGREES else self._second_fit
        if fit.degrees < LEAST_DEGREES:
            return []
        residuals = (self.log_response - fit.design @ fit.robust_coefficients()) / np.sqrt(fit.variances)
        spread = MAD_TO_SD * float(np.median(np.abs(residuals)))
        # As many residuals as there are coefficients are nearly 0, whatever the noise.
        spread *= math.sqrt(len(self.log_response) / fit.degrees)
        far = np.abs(residuals) > max(OUTLYING * spread, ROUNDING)
        return [o.key for o, outlying in zip(self.observations, far, strict=True) if outlying]

    def misfit_of(self, weights: Mapping[Layers, float]) -> float:
        """The variance that the second-order model's misfit adds to this contrast, if the model predicts all of it.

        The model may miss each of these combinations, and each of those that its terms are estimated from.
        """
        shares = np.array(list(weights.values()))
        by_cell = self._terms_by_cell @ (shares @ self.rows([*weights], self.terms))
        return self._misfit_variance * float(shares @ shares + by_cell @ by_cell)

    @cached_property
    def _terms_by_cell(self) -> Floats:
        """How much each cell adds to the second-order model's terms (cells, terms)."""
        fit = self._second_fit
        weights = fit.design @ fit.inverse[:, : len(self.terms)] / fit.variances[:, None]
        by_cell: Floats = self.indicators.T @ weights
        return by_cell

    @cached_property
    def _misfit_variance(self) -> float:
        """Variance of the cells around the second-order model, beyond noise; of both where nothing separates them."""
        assert self.scatter is not None
        small, large = self._second_fit, self._cell_fit
        more = small.degrees - large.degrees
        if large.degrees < LEAST_DEGREES or more < 1:
            return self.scatter.sd**2
        per_cell = len(self.observations) / len(self.cells)
        return max(0.0, ((small.residual_squares - large.residual_squares) / more - large.variance) / per_cell)

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
        """A contrast of a model's terms.

        Where combinations are missing, those that were measured may be special. So the interval is widened by how far
        the second-order model misses them beyond noise. Without repeated trials that is part of the scatter already.
        """
        is_widened = self.is_replicated and self.has_second_order
        known = is_widened and self.rules.allows_more_than(len(self.cells), self.layers)
        return self._estimate(fit, contrast, self._misfit_variance if known else 0.0)

    def _term(self, fit: Fit, terms: list[Layers], term: Layers, scale: float = 1.0) -> Estimate | None:
        if not fit.full_rank or term not in terms:
            return None
        c = np.zeros(fit.terms)
        c[terms.index(term)] = scale
        return self._model_estimate(fit, c)

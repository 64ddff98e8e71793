"""The response of every combination of layers, predicted from all trials of a run.

A combination's own mean rests on a few trials, and the best of 64 such means looks better than it is. Here all trials
say something of every combination, through the terms of the factorial: main effects and two-way interactions as they
are, higher interactions drawn towards nothing unless the data show them (a horseshoe prior). Since all combinations are
drawn in together, an interval holds also for the one that was chosen because it looked best.

Box & Meyer, "An analysis for unreplicated fractional factorials", 1986, for effects of which few are active; Carvalho,
Polson & Scott, "The horseshoe estimator for sparse signals", 2010, for the prior; Makalic & Schmidt, "A simple sampler
for the horseshoe estimator", 2016, for how it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from itertools import combinations as subsets

import numpy as np
from scipy.linalg import solve_triangular

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.rules import Rules

from .effects import Effects
from .estimate import Estimate
from .least_squares import Floats

DRAWS = 600
BURN_IN = 100
MOST_TERMS = 130  # with more layers the highest interactions are left out
WIDE = 3.0**2  # prior variance of a term that is not drawn towards nothing: factors of e^6 are thought possible
LEAST_BELIEVED = 0.1  # of the variance that noise alone gives a term: nothing smaller can be told from it
ALIASED = 1e-6  # what is left of a column that others explain
FLOOR = 1e-10  # of a variance, where trials repeat exactly


class Prediction:
    """Log responses of all combinations of a run's layers, measured or not.

    Where trials do not show how much they scatter, a combination is as it was measured, without an interval.
    """

    def __init__(self, effects: Effects):
        self._effects = effects
        self._terms = _told_apart(_terms(effects.layers, effects.rules), effects)
        self.predicts_all = effects.scatter is not None and effects.has_second_order
        """Whether the trials determine what layers and pairs of layers do in every combination."""
        self._rows: dict[Layers, Floats] = {}
        self._draws = None if effects.scatter is None else self._draw()

    def _draw(self) -> Floats:
        """Draws (DRAWS, terms) of the coefficients, given the trials: by Gibbs sampling, always with the same numbers.

        In turn: all coefficients given the variances, each term's prior variance given its coefficient, and the
        scatter of each group of trials given the residuals.
        """
        effects, rng = self._effects, np.random.default_rng(0)
        assert effects.scatter is not None
        observed = np.stack([self._row(o.layers) for o in effects.observations])
        design = np.hstack((observed, effects.blocks - effects.block_means))
        groups = [effects.scatter.member == number for number in range(len(effects.scatter.groups))]
        grams = [design[group].T @ design[group] for group in groups]
        moments = [design[group].T @ effects.log_response[group] for group in groups]
        squares = [float(effects.log_response[group] @ effects.log_response[group]) for group in groups]
        variances = [max(group.sd**2, FLOOR) for group in effects.scatter.groups]
        least = LEAST_BELIEVED * max(effects.scatter.sd**2, FLOOR) / len(effects.observations)
        prior = _Horseshoe([len(term) for term in self._terms], effects.has_second_order, least, rng)
        diagonal = np.arange(len(self._terms))
        draws = np.empty((DRAWS, len(self._terms)))
        for number in range(-BURN_IN, DRAWS):
            information = sum(gram / variance for gram, variance in zip(grams, variances, strict=True))
            information[diagonal, diagonal] += 1 / prior.variances
            moment = sum(moment / variance for moment, variance in zip(moments, variances, strict=True))
            coefficients = _draw_normal(information, moment, rng)
            prior.update(coefficients[: len(self._terms)])
            for index, group in enumerate(groups):
                left = squares[index] - coefficients @ (2 * moments[index] - grams[index] @ coefficients)
                variances[index] = max(float(left) / 2 / rng.standard_gamma(group.sum() / 2), FLOOR)
            if number >= 0:
                draws[number] = coefficients[: len(self._terms)]
        return draws

    def _row(self, layers: Layers) -> Floats:
        """The terms' columns (terms) of one combination."""
        if layers not in self._rows:
            self._rows[layers] = _columns([layers], self._terms)[0]
        return self._rows[layers]

    def contrast(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """exp(sum of weight x log response) over combinations; None for a layer of which nothing was measured.

        Weights that sum to 0 give a ratio, weights that sum to 1 a level at the run's average moment.
        """
        if not set(chain.from_iterable(weights)) <= set(self._effects.layers):
            return None
        if self._draws is None or self._effects.scatter is None:
            return self._effects.contrast(weights)
        row = sum(weight * self._row(layers) for layers, weight in weights.items())
        drawn = self._draws @ row
        degrees = self._effects.scatter.least_degrees
        # The draws have the spread of a t variable, which is wider than its scale.
        se = float(drawn.std()) * math.sqrt(1 - 2 / degrees)
        if self._is_cut_short:
            se = math.hypot(se, math.sqrt(self._effects.misfit_of(weights)))
        return Estimate.from_log(float(drawn.mean()), se, degrees)

    @property
    def layers(self) -> Layers:
        """Those of which something was measured."""
        return self._effects.layers

    @property
    def rules(self) -> Rules:
        """Which of the layers need or exclude each other."""
        return self._effects.rules

    @cached_property
    def _is_cut_short(self) -> bool:
        """Whether interactions of more than two layers had no room, so that draws leave out what they do."""
        return (
            self.predicts_all
            and len(self.layers) > 2
            and all(len(term) < 3 for term in _terms(self.layers, self.rules))
        )

    def ratio(self, over: Layers, under: Layers = BASELINE) -> Estimate | None:
        """The response of one combination over that of another."""
        return self.contrast({over: 0.0} if over == under else {over: 1.0, under: -1.0})

    def level(self, layers: Layers) -> Estimate | None:
        """The response of one combination itself."""
        return self.contrast({layers: 1.0})


class _Horseshoe:
    """Prior variances of terms of these orders; those of second order and less are wide where the data tell them all.

    Interactions of two, of three, and of more layers have each a scale of their own: the more layers, the less is to be
    expected of them. No variance is below ``least``.
    """

    def __init__(self, orders: list[int], second_order_is_wide: bool, least: float, rng: np.random.Generator):
        self._rng, self._least = rng, least
        self._wide = np.array(orders) <= (2 if second_order_is_wide else 1)
        self._class = np.minimum(np.array(orders), 4)
        self._size = np.bincount(self._class, minlength=5)
        self._local, self._local_scale = np.ones(len(orders)), np.ones(len(orders))
        self._global, self._global_scale = np.full(5, 1e-2), np.ones(5)

    @property
    def variances(self) -> Floats:
        """Of each term."""
        drawn_in = np.clip(self._local * self._global[self._class], self._least, WIDE)
        return np.where(self._wide, WIDE, drawn_in)

    def update(self, coefficients: Floats) -> None:
        """Draw the variances anew, given the terms' coefficients: inverse gamma variables, all of them."""
        squares, rng = coefficients**2 / 2, self._rng
        own = 1 / self._local_scale + squares / self._global[self._class]
        self._local = own / rng.standard_exponential(len(squares))
        self._local_scale = (1 + 1 / self._local) / rng.standard_exponential(len(squares))
        common = 1 / self._global_scale + np.bincount(self._class, squares / self._local, 5)
        self._global = common / rng.standard_gamma((self._size + 1) / 2)
        self._global_scale = (1 + 1 / self._global) / rng.standard_exponential(5)


def _terms(layers: Layers, rules: Rules) -> list[Layers]:
    """The mean, each layer, each pair that can meet and so on; as many orders as there is room for."""
    found: list[Layers] = [BASELINE]
    for order in range(1, len(layers) + 1):
        more = [term for term in subsets(layers, order) if rules.can_meet(term)]
        if order > 2 and len(found) + len(more) > MOST_TERMS:
            break
        found += more
    return found


def _told_apart(terms: list[Layers], effects: Effects) -> list[Layers]:
    """The terms that the measured combinations tell apart from those of lower order.

    In a fraction, a high interaction may have the same column as a single layer. It is then taken to be nothing:
    otherwise a gain could be either of them, and no combination could be predicted that was not measured.
    """
    columns = _columns(effects.cells, terms)
    orders = np.array([len(term) for term in terms])
    kept: list[Layers] = []
    for order in np.unique(orders):
        lower, own = columns[:, orders < order], columns[:, orders == order]
        left = own - lower @ (np.linalg.pinv(lower) @ own)
        of_order = [term for term in terms if len(term) == order]
        kept += [term for term, norm in zip(of_order, np.linalg.norm(left, axis=0), strict=True) if norm > ALIASED]
    return kept


def _columns(combinations: Sequence[Layers], terms: list[Layers]) -> Floats:
    """The terms' columns (combinations, terms), each factor coded -1, +1."""
    signs = [[(-1.0) ** len(set(term) - set(layers)) for term in terms] for layers in combinations]
    return np.array(signs).reshape(len(combinations), len(terms))


def _draw_normal(information: Floats, moment: Floats, rng: np.random.Generator) -> Floats:
    """One draw from the normal distribution of this information matrix and mean information^-1 moment.

    Columns that nothing determines, of mini-blocks that nothing ties together, get a next to flat prior.
    """
    root = np.linalg.cholesky(information + 1e-9 * np.eye(len(information)))
    half = solve_triangular(root, moment, lower=True) + rng.standard_normal(len(moment))
    drawn: Floats = solve_triangular(root, half, lower=True, trans=1)
    return drawn

"""Weighted least squares, and observations that scatter by unequal amounts.

Trials of one kind can scatter several times as much as others (short updates, processes that compete for cores). One
pooled standard deviation would then give intervals that are too narrow for the ones and too wide for the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2bench.records.combinations import Layers
from m2bench.records.figure import ScatterGroup

from .distributions import t_two_sided_p
from .estimate import LEAST_DEGREES, ROUNDING

UNEQUAL = 0.01  # the chance that a layer is found to change the scatter where none does
MOST_FACTORS = 2  # layers that may change the scatter: more would leave too few trials in a group
LEAST_FREE = 0.05  # of an observation's own leverage left over; below, its residual says nothing
ROUNDS = 20
HUBER = 1.345  # standard deviations within which an observation counts in full: 95 % efficient without outliers
MAD_TO_SD = 1.4826  # the median absolute deviation of a normal distribution, inverted
SETTLED = 1e-6  # a change of a logarithm that no figure shows
MOST_STEPS = 100

Floats = NDArray[np.float64]


class Fit:
    """Least squares of y (n) on a design matrix (n, p), whose observations have these relative variances (n)."""

    def __init__(self, design: Floats, y: Floats, variances: Floats | None = None):
        self.design = design
        self.terms = design.shape[1]
        self.variances: Floats = np.ones(len(y)) if variances is None else variances
        scaled = design / np.sqrt(self.variances)[:, None]
        # Inverse and rank from the same eigenvalues; columns may depend on each other.
        eigenvalues, vectors = np.linalg.eigh(scaled.T @ scaled)
        kept = eigenvalues > ROUNDING * max(eigenvalues.max(initial=0.0), 1.0)
        self._basis: Floats = vectors[:, kept]
        self.inverse: Floats = (self._basis / eigenvalues[kept]) @ self._basis.T
        self.coefficients: Floats = self.inverse @ (scaled.T @ (y / np.sqrt(self.variances)))
        self.residuals: Floats = y - design @ self.coefficients
        rank = int(kept.sum())
        self.full_rank = rank == self.terms
        self.degrees = len(y) - rank
        self.residual_squares = float(self.residuals**2 @ (1 / self.variances))
        self.y = y

    @property
    def variance(self) -> float:
        """Of an observation whose relative variance is 1; nan without degrees of freedom."""
        return self.residual_squares / self.degrees if self.degrees else math.nan

    def free(self) -> Floats:
        """The share of each observation (n) that is left to its residual: 1 - leverage. They sum to the degrees."""
        free: Floats = 1 - np.einsum("ij,ij->i", self.design @ self.inverse, self.design) / self.variances
        return free

    def determines(self, contrast: Floats) -> bool:
        """Whether the data say anything of the contrast: it lies in the row space of the design."""
        return self.full_rank or bool(np.allclose(self._basis @ (self._basis.T @ contrast), contrast, atol=1e-6))

    def weights(self, contrast: Floats) -> Floats:
        """What each observation adds to the estimate of the contrast."""
        return self.design @ (self.inverse @ contrast) / self.variances

    def robust_coefficients(self) -> Floats:
        """By Huber's M-estimate, which an outlier moves little; the plain ones where there is no noise at all.

        By reweighted least squares: Huber, "Robust Statistics", 1981, section 7.8. (That of statsmodels decomposes the
        whole design in every step, which takes minutes for hundreds of combinations.)
        """
        if not self.degrees or self.variance < ROUNDING**2:
            return self.coefficients
        # On the basis the design has full rank whatever its columns do.
        root = np.sqrt(self.variances)
        y, design = self.y / root, (self.design / root[:, None]) @ self._basis
        found: Floats = self._basis.T @ self.coefficients
        for _ in range(MOST_STEPS):
            residuals, before = np.abs(y - design @ found), found
            bound = HUBER * MAD_TO_SD * max(float(np.median(residuals)), ROUNDING**2)
            weighted = design * np.minimum(1.0, bound / np.maximum(residuals, bound))[:, None]
            found = np.asarray(np.linalg.solve(weighted.T @ design, weighted.T @ y), dtype=np.float64)
            if np.abs(found - before).max() < SETTLED:
                break
        return self._basis @ found


@dataclass(frozen=True)
class Scatter:
    """How much single observations scatter. ``member``: the group of each (n)."""

    groups: tuple[ScatterGroup, ...]
    member: NDArray[np.int64]

    @property
    def variances(self) -> Floats:
        """Of each observation (n)."""
        return np.array([group.sd**2 for group in self.groups])[self.member]

    @property
    def sd(self) -> float:
        """Of an observation, over all groups."""
        return float(np.sqrt(self.variances.mean()))

    @property
    def degrees(self) -> float:
        return sum(group.degrees for group in self.groups)

    @property
    def least_degrees(self) -> float:
        """Of the group of which least is known."""
        return min(group.degrees for group in self.groups)

    def of_weights(self, weights: Floats) -> tuple[float, float]:
        """Standard error and degrees of freedom of a weighted sum of the observations.

        By Satterthwaite, "An approximate distribution of estimates of variance components", 1946.
        """
        shares = np.bincount(self.member, weights**2 * self.variances, len(self.groups))
        total = float(shares.sum())
        if total <= 0:
            return 0.0, self.degrees
        return math.sqrt(total), total**2 / sum(
            float(s) ** 2 / group.degrees for s, group in zip(shares, self.groups, strict=True)
        )


def measure_scatter(layers: Layers, on: NDArray[np.bool_], fit: Fit) -> Scatter:
    """The scatter of observations around a fit with equal variances, where ``on`` (n, k) says which layers were on.

    In groups where a layer is shown to change it; one group where none is.
    """
    factors = _unequal(layers, on, fit)
    columns = [layers.index(factor) for factor in factors]
    patterns, member = _distinct(on[:, columns])
    sds: Floats = np.full(len(patterns), math.sqrt(fit.variance))
    degrees: Floats = np.array([float(fit.degrees)])
    for _ in range(ROUNDS if factors else 0):
        fit = Fit(fit.design, fit.y, np.maximum((sds / sds.max()) ** 2, ROUNDING)[member])
        degrees = np.bincount(member, fit.free(), len(patterns)).astype(float)
        before, sds = sds, np.sqrt(np.bincount(member, fit.residuals**2, len(patterns)) / degrees)
        if np.allclose(before, sds, rtol=1e-4):
            break
    groups = tuple(
        ScatterGroup(
            tuple(f for f, is_on in zip(factors, pattern, strict=True) if is_on),
            tuple(f for f, is_on in zip(factors, pattern, strict=True) if not is_on),
            float(sd),
            float(df),
        )
        for pattern, sd, df in zip(patterns, sds, degrees, strict=True)
    )
    return Scatter(groups, member)


def _distinct(on: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The distinct rows of ``on`` (n, k), and which of them each row is (n)."""
    codes = on @ (1 << np.arange(on.shape[1])[::-1])
    _, first, member = np.unique(codes, return_index=True, return_inverse=True)
    return on[first], member


def _unequal(layers: Layers, on: NDArray[np.bool_], fit: Fit) -> Layers:
    """The layers with which observations scatter more or less than without.

    By regression of the logarithm of squared residuals, Harvey, "Estimating regression models with multiplicative
    heteroscedasticity", 1976, which heavy tails mislead little: one layer at a time, most significant first.
    """
    free = fit.free()
    told = free > LEAST_FREE
    if fit.variance < ROUNDING**2 or told.sum() < 2 * LEAST_DEGREES:
        return ()
    logs = np.log(np.maximum(fit.residuals[told] ** 2 / free[told], fit.variance * ROUNDING))
    found: list[int] = []
    while len(found) < MOST_FACTORS:
        others = [index for index in range(len(layers)) if index not in found]
        p_values = {
            index: _slope_p(np.column_stack((np.ones(len(logs)), on[told][:, [*found, index]])), logs)
            for index in others
            if _large_enough(on[:, [*found, index]], free)
        }
        best = min(p_values, key=lambda index: p_values[index], default=None)
        if best is None or p_values[best] * len(others) > UNEQUAL:
            break
        found.append(best)
    return tuple(layers[index] for index in sorted(found))


def _large_enough(on: NDArray[np.bool_], free: Floats) -> bool:
    """Whether every group that these layers make has enough degrees of freedom for a scatter of its own."""
    _, member = _distinct(on)
    degrees = np.bincount(member, free)
    return len(degrees) > 1 and bool(degrees.min() >= LEAST_DEGREES)


def _slope_p(design: Floats, y: Floats) -> float:
    """P of the t test that the last column has no slope."""
    fit = Fit(design, y)
    last = np.zeros(design.shape[1])
    last[-1] = 1.0
    if not fit.full_rank:
        return 1.0
    se = math.sqrt(fit.variance * float(fit.inverse[-1, -1]))
    return t_two_sided_p(float(fit.coefficients[-1]) / se, fit.degrees)

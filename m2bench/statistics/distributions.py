"""Quantiles and tails of the t, chi-square and F distributions.

From scipy.special: scipy.stats has them too, but takes a second to import, and every command needs one.
"""

from __future__ import annotations

from scipy.special import fdtrc, gammaincinv, stdtr, stdtrit


def t_quantile(probability: float, degrees: float) -> float:
    """The value that a t variable with so many degrees of freedom stays below with this probability."""
    return float(stdtrit(degrees, probability))


def t_two_sided_p(statistic: float, degrees: float) -> float:
    """The probability that a t variable lies at least so far from 0."""
    return 2 * float(stdtr(degrees, -abs(statistic)))


def chi_square_quantile(probability: float, degrees: float) -> float:
    """The value that a chi-square variable with so many degrees of freedom stays below with this probability."""
    return 2 * float(gammaincinv(degrees / 2, probability))


def f_tail(statistic: float, numerator_degrees: float, denominator_degrees: float) -> float:
    """The probability that an F variable exceeds the statistic; 1 where rounding has made that negative."""
    return float(fdtrc(numerator_degrees, denominator_degrees, max(0.0, statistic)))

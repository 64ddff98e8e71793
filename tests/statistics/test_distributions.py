"""Quantiles and tails, against scipy.stats."""

from __future__ import annotations

import pytest
from scipy import stats

from m2bench.statistics.distributions import chi_square_quantile, f_tail, t_quantile, t_two_sided_p


@pytest.mark.parametrize("degrees", [1, 2, 4.7, 30, 1000])
def test_t_is_that_of_scipy_stats(degrees: float) -> None:
    for probability in (0.001, 0.2, 0.5, 0.8, 0.975, 0.9999):
        assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), abs=1e-12)
    for statistic in (-3.0, 0.0, 0.5, 8.0):
        assert t_two_sided_p(statistic, degrees) == pytest.approx(2 * stats.t.sf(abs(statistic), degrees))


@pytest.mark.parametrize("degrees", [1, 2.25, 30])
def test_chi_square_is_that_of_scipy_stats(degrees: float) -> None:
    for probability in (0.025, 0.5, 0.975):
        assert chi_square_quantile(probability, degrees) == pytest.approx(stats.chi2.ppf(probability, degrees))


def test_f_is_that_of_scipy_stats() -> None:
    for statistic in (-1e-12, 0.0, 0.7, 3.0, 40.0):
        assert f_tail(statistic, 3, 11) == pytest.approx(stats.f.sf(statistic, 3, 11))

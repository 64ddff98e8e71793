"""Means so far against values worked out by hand and against curves of which it is known how one is stretched."""

from __future__ import annotations

import numpy as np
import pytest

from m2bench.statistics.mean_so_far import MeanSoFar, units_ratio


def test_the_mean_so_far_weighs_by_units() -> None:
    """Losses 4 over 10 units, 1 over 30."""
    found = MeanSoFar.of([4.0, 1.0], [10, 30])
    assert found.end == 40
    assert found.after(10) == 4
    assert found.after(5) == 4
    assert found.after(20) == pytest.approx((40 + 10) / 20)


def test_what_was_learned_is_early_less_late_with_the_scatter_of_single_updates() -> None:
    """Of 100 updates 5 are early and 40 late."""
    late = [1.0, 2.0] * 20
    found = MeanSoFar.of([7.0, 9.0, 7.0, 9.0, 8.0, *[4.0] * 55, *late], [2] * 100).fall(200)
    assert found.size == pytest.approx(8 - 1.5)
    assert found.error == pytest.approx(np.std(late, ddof=1) * (1 / 5 + 1 / 40) ** 0.5)
    assert MeanSoFar.of([3.0, 1.0], [1, 1]).fall(2).error == np.inf


def test_the_level_is_reached_where_the_mean_crosses_it_for_good() -> None:
    found = MeanSoFar.of([4.0, 1.0], [10, 30])
    # (40 + (units - 10)) / units = 2
    assert found.units_until(2.0, most=40) == pytest.approx(30)
    assert found.units_until(2.0, most=20) == 20, "not reached up to there"
    assert found.units_until(5.0, most=40) is None, "never above"
    dips = MeanSoFar.of([1.0, 3.0, 1.0, 1.0], [1, 1, 1, 1])  # means 1, 2, 5/3, 3/2
    assert dips.units_until(1.6, most=4) == pytest.approx(10 / 3)


def test_an_update_that_tells_nothing_is_told_of_by_the_next() -> None:
    found = MeanSoFar.of([None, 4.0, None, 1.0, None], [10, 10, 5, 5, 7])
    assert found.end == 30
    assert found.after(20) == 4
    assert found.after(30) == pytest.approx((80 + 10) / 30)


@pytest.mark.parametrize("stretch", [0.5, 0.8, 1.0, 1.25, 2.0, 3.0])
@pytest.mark.parametrize("batch", [1, 8, 32])
def test_a_stretched_curve_needs_as_many_times_the_units(stretch: float, batch: int) -> None:
    """Whatever its shape, and however many units an update has."""

    def curve(stretch: float, batch: int) -> MeanSoFar:
        ends = np.arange(0, 3001, batch)
        # The mean over each batch of 0.3 + exp(-u / 400) + 1 / (1 + u / 50), integrated by hand.
        u = ends / stretch
        sums = stretch * (0.3 * u - 400 * np.exp(-u / 400) + 50 * np.log1p(u / 50))
        return MeanSoFar.of(list(np.diff(sums) / batch), [batch] * (len(ends) - 1))

    plain, stretched = curve(1.0, 1), curve(stretch, batch)
    units = min(plain.end, stretched.end)
    assert units_ratio(plain, stretched, units) == pytest.approx(stretch, rel=2e-2 if batch > 1 else 1e-3)
    assert units_ratio(plain, plain, units) == 1


def test_what_stays_above_all_that_the_other_had_is_never_reached() -> None:
    falling, diverging = MeanSoFar.of([2.0, 1.0], [1, 1]), MeanSoFar.of([2.5, 5.0], [1, 1])
    assert units_ratio(falling, diverging, 2) is None
    assert units_ratio(diverging, falling, 2) is None

"""Learning curves against values worked out by hand."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from m2bench.records.results import CurvePoint
from m2bench.statistics.learning_curve import arrival, distance, evaluation_episodes, progress, setbacks


def curve(*returns: float, size: int = 1) -> list[CurvePoint]:
    """Returns after 8, 9, 10, 11, 13, 15, ... episodes."""
    numbers = list(islice(evaluation_episodes(), len(returns)))
    return [CurvePoint(n, n // size * size, 0.0, r) for n, r in zip(numbers, returns, strict=True)]


def test_evaluations_are_a_tenth_apart_and_start_early() -> None:
    numbers = list(islice(evaluation_episodes(), 60))
    assert numbers[:6] == [8, 9, 10, 11, 13, 15]
    assert all(b >= 1.0999 * a for a, b in pairwise(numbers))
    assert all(b <= 1.1 * a + 1 for a, b in pairwise(numbers))


def test_the_target_is_reached_by_the_mean_of_six_evaluations() -> None:
    rising = curve(1, 2, 3, 4, 5, 6, 7, 8)
    assert arrival(rising, 3.5) == 15
    assert arrival(rising, 4.5) == pytest.approx(17)
    assert arrival(rising, 5.6) is None


def test_between_two_evaluations_the_target_is_reached_on_a_line_of_the_logarithm() -> None:
    """Means of six are 3.5 after 15 episodes and 4.5 after 17."""
    rising = curve(1, 2, 3, 4, 5, 6, 7, 8)
    halfway = arrival(rising, 4.0)
    assert halfway == pytest.approx((15 * 17) ** 0.5)
    assert arrival(rising, 3.75) == pytest.approx(15**0.75 * 17**0.25)


def test_the_untrained_policy_does_not_count_however_lucky() -> None:
    """With 10 episodes per update the first is done after 10."""
    lucky = curve(100, 100, 1, 1, 1, 1, 1, size=10)
    assert arrival(lucky, 1.0) is None
    assert arrival([*lucky, *curve(*[1] * 8, size=10)[7:]], 1.0) == 19


def test_once_reached_is_reached() -> None:
    assert arrival(curve(*[2] * 6, *[-9] * 6), 2.0) == 15


def test_the_distance_is_taken_after_the_same_numbers_of_episodes() -> None:
    fine = curve(4, 4, 4, 4, 7)
    coarse = curve(0, 0, 3, 3, 3, 3, 3, size=10)
    # Both have learned, and live to see, 10, 11 and 13 episodes: -1, -1, -4.
    assert distance(fine, coarse) == pytest.approx(-2)
    assert distance(coarse, fine) == pytest.approx(2)
    assert distance(fine, fine) == 0


def test_curves_that_never_meet_have_no_distance() -> None:
    assert distance(curve(1, 2), curve(0, 0, size=100)) == 0


def test_progress_is_the_mean_over_seeds_and_an_arrived_seed_stays_at_the_target() -> None:
    early = curve(0, 0, 0, 0, 0, 6)  # the mean of six is 1 after 15 episodes: arrived
    late = curve(0, 0, 0, 0, 0, 0, 6, 6)
    come = progress([early, late], 1.0)
    assert come == [(8, 0), (9, 0), (10, 0), (11, 0), (13, 0), (15, 0.5), (17, 1.0), (19, pytest.approx(1.0))]


def test_progress_ends_where_a_seed_gave_up() -> None:
    assert len(progress([curve(0, 0, 0), curve(0, 0, 0, 0, 0, 6)], 1.0)) == 3


def test_setbacks_are_what_goes_down_of_all_that_moves() -> None:
    assert setbacks(curve(0, 1, 2, 5)) == 0.0
    assert setbacks(curve(0, 3, 2, 4)) == pytest.approx(1 / 6)
    assert setbacks(curve(0, 3, 3, 3, 2, 4)) == pytest.approx(1 / 6), "a policy that was not updated does not move"
    assert setbacks(curve(99, 99, 0, 2, 2, 2, 2, 1, size=10)) == pytest.approx(1 / 3), (
        "the untrained one does not count"
    )
    assert setbacks(curve(2, 2, 2)) is None

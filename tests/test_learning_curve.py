"""Learning curves against values worked out by hand."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import pytest

from m2bench.learning_curve import distance, evaluation_episodes, has_reached, return_after


def curve(*points: tuple[int, float]) -> list[dict[str, Any]]:
    return [{"episodes": episodes, "return": value} for episodes, value in points]


def test_evaluations_are_a_tenth_apart_and_start_early() -> None:
    numbers = list(islice(evaluation_episodes(), 60))
    assert numbers[:4] == [8, 9, 10, 11]
    assert all(b > a for a, b in pairwise(numbers))
    assert all(1.1 <= b / a < 1.11 for a, b in pairwise(numbers))


def test_the_target_is_reached_by_the_mean_of_four_evaluations() -> None:
    rising = curve((0, 0.0), (8, 1.0), (9, 2.0), (10, 3.0), (11, 4.0))
    assert has_reached(rising, 2.5)
    assert not has_reached(rising, 2.6)


def test_the_untrained_policy_does_not_count_however_lucky() -> None:
    lucky = curve((0, 100.0), (8, 1.0), (9, 1.0), (10, 1.0))
    assert not has_reached(lucky, 1.0)
    assert has_reached([*lucky, *curve((11, 1.0))], 1.0)


def test_a_policy_holds_until_its_next_update() -> None:
    coarse = curve((0, 1.0), (32, 2.0), (64, 3.0))
    assert [return_after(coarse, n) for n in (0, 31, 32, 63, 64, 1000)] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


def test_the_distance_is_taken_after_the_same_numbers_of_episodes() -> None:
    fine = curve((0, 0.0), (8, 4.0), (9, 4.0), (10, 4.0), (11, 4.0), (13, 4.0))
    coarse = curve((0, 0.0), (10, 3.0), (20, 3.0))
    # Both lived to see 8, 9, 10, 11 and 13 episodes: -4, -4, -1, -1, -1.
    assert distance(fine, coarse) == pytest.approx(-11 / 5)
    assert distance(coarse, fine) == pytest.approx(11 / 5)
    assert distance(fine, fine) == 0

"""Change points are those of the best segmentation among all, found by looking at every one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from m2bench.statistics.change_points import change_points

Series = NDArray[np.float64]


def total(values: Series, points: list[int], penalty: float) -> float:
    segments = (values[start:end] for start, end in pairwise([0, *points, len(values)]))
    return sum(float(((part - part.mean()) ** 2).sum()) for part in segments) + penalty * len(points)


def segmentations(count: int, least: int, begin: int = 0) -> Iterator[list[int]]:
    """Every list of change points with no segment shorter than ``least``."""
    yield []
    for point in range(begin + least, count - least + 1):
        for rest in segmentations(count, least, point):
            yield [point, *rest]


def steps(rng: np.random.Generator, count: int) -> Series:
    """Noise of 1 around a level that jumps a few times."""
    values = rng.normal(size=count)
    for _ in range(rng.integers(5)):
        values[rng.integers(count) :] += rng.normal(0, 3)
    return values


@pytest.mark.parametrize("least", [1, 2, 3])
@pytest.mark.parametrize("seed", range(25))
def test_no_segmentation_is_better(seed: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    values, penalty = steps(rng, int(rng.integers(2 * least, 12))), float(rng.uniform(0.1, 10))
    every = list(segmentations(len(values), least))
    assert change_points(values, penalty, least) == min(every, key=lambda points: total(values, points, penalty))


def slow_best(values: Series, penalty: float, least: int) -> float:
    """The lowest total, by Bellman's recursion over all starts with each segment's own mean."""
    best = [-penalty] + [np.inf] * len(values)
    for end in range(least, len(values) + 1):
        starts = range(end - least + 1)
        best[end] = min(best[start] + penalty + total(values[start:end], [], penalty) for start in starts)
    return best[-1]


@pytest.mark.parametrize(("least", "count"), [(3, 30), (8, 30), (3, 120)])
def test_what_is_pruned_was_not_needed(least: int, count: int) -> None:
    """A low penalty makes many segments, and a start that is dropped a few values too early is missed in 1 of 20."""
    rng = np.random.default_rng(0)
    for _ in range(120 if count < 100 else 4):
        values, penalty = steps(rng, count), float(rng.uniform(0.5, 3))
        found = change_points(values, penalty, least)
        assert total(values, found, penalty) == pytest.approx(slow_best(values, penalty, least))
        assert all(end - start >= least for start, end in pairwise([0, *found, count]))


def test_steps_without_noise_are_found_at_any_scale() -> None:
    """Their squares are 1e18, and a sum of these has no digit left for a penalty of 30."""
    values = np.repeat([1e9, 1.1e9, 0.7e9], [50, 70, 60])
    assert change_points(values, 30.0, 3) == [50, 120]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_values_have_no_change_point(count: int) -> None:
    assert change_points(np.arange(count, dtype=np.float64) * 100.0, 0.1, 3) == []

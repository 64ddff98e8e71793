"""Lines of speed by size: planted levels, leads and crossings come back, and what is not there is not found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from m2bench.statistics.estimate import Estimate
from m2bench.statistics.speed_by_size import BySize, crossings, levels, ratios

SIZES = (1.0, 8.0, 32.0, 128.0, 512.0)
RUNS = 600
PAIRS = len(SIZES)


def by_size(table: np.ndarray) -> BySize:
    """Of sizes and blocks."""
    return {size: dict(enumerate(row)) for size, row in zip(SIZES, table.tolist(), strict=True)}


def two_lines(
    rng: np.random.Generator, apart: np.ndarray, sds: tuple[float, float], blocks: int = 3
) -> tuple[BySize, BySize]:
    """Two lines whose logarithms lie so far apart; a block shifts both alike, and each line also by itself."""
    shared = rng.normal(0, 0.2, (1, blocks))

    def line(truth: np.ndarray, sd: float) -> BySize:
        own = rng.normal(0, sd / 2, (1, blocks)) + rng.normal(0, sd, (len(SIZES), blocks))
        return by_size(truth[:, None] + shared + own)

    return line(apart, sds[0]), line(np.zeros(len(SIZES)), sds[1])


def least(runs: int) -> float:
    """The smallest share of such runs that 95 % coverage leaves to chance."""
    return float(stats.binom.ppf(0.001, runs, 0.95) / runs)


def test_what_all_sizes_share_in_a_block_has_the_degrees_of_freedom_of_the_blocks() -> None:
    """All sizes scatter alike, so none are pooled: a t interval of the blocks, for three figures at once."""
    scatter = np.array([0.05, -0.02, 0.01])
    logs = {size: dict(enumerate((math.log(size) + scatter).tolist())) for size in (8.0, 32.0, 256.0)}
    low, high = stats.ttest_1samp(math.log(8) + scatter, 0.0).confidence_interval(1 - 0.05 / 3)
    assert levels(logs, 3)[8.0].interval == pytest.approx((math.exp(low), math.exp(high)))


def test_a_planted_growth_comes_back_whatever_the_machine_did_between_blocks() -> None:
    drift = np.log([1.0, 0.8, 1.3])
    growing = by_size(0.5 * np.log(SIZES)[:, None] + drift)
    flat = by_size(np.zeros((len(SIZES), 1)) + drift)
    found = ratios(growing, flat, 1)
    assert {size: ratio.ratio for size, ratio in found.items()} == pytest.approx({s: s**0.5 for s in SIZES})


def test_one_block_has_no_interval_and_shows_nothing() -> None:
    one, other = ({size: {0: sign * math.log(size / 20)} for size in SIZES} for sign in (1, -1))
    found = ratios(one, other, 1)
    assert {ratio.interval for ratio in found.values()} == {None}
    assert crossings(found) == []


@pytest.mark.parametrize("sds", [(0.03, 0.03), (0.01, 0.09)], ids=["alike", "one line scatters nine times as much"])
def test_all_intervals_of_a_comparison_hold_together(sds: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    apart = np.array([-0.4, -0.1, 0.0, 0.1, 0.4])
    held = []
    for _ in range(RUNS):
        found = ratios(*two_lines(rng, apart, sds), PAIRS)
        inside = [low <= math.exp(truth) <= high for truth, (low, high) in zip(apart, intervals(found), strict=True)]
        held.append(all(inside))
    assert np.mean(held) >= least(RUNS)


def intervals(found: dict[float, Estimate]) -> list[tuple[float, float]]:
    return [estimate.interval for estimate in found.values() if estimate.interval is not None]


@pytest.mark.parametrize("sd", [(0.09, 0.03, 0.03, 0.03, 0.03), (0.03, 0.03, 0.03, 0.09, 0.09)])
def test_intervals_nearly_hold_where_some_sizes_scatter_three_times_as_much(sd: tuple[float, ...]) -> None:
    """In 94 % of such runs; pooling alone comes to 82 %."""
    rng = np.random.default_rng(2)
    held = []
    for _ in range(RUNS):
        one, other = (by_size(rng.normal(0, 1, (len(SIZES), 3)) * np.array(sd)[:, None]) for _ in range(2))
        held.append(all(low <= 1 <= high for low, high in intervals(ratios(one, other, PAIRS))))
    assert np.mean(held) >= stats.binom.ppf(0.001, RUNS, 0.94) / RUNS


def test_a_crossing_is_where_it_was_planted_and_is_found() -> None:
    """The lines cross at 64 of sizes 1 to 512, and lie 10 % apart for every doubling."""
    rng = np.random.default_rng(3)
    apart = 0.1 * np.log2(np.array(SIZES) / 64)
    held, found = [], []
    for _ in range(RUNS):
        crossed = crossings(ratios(*two_lines(rng, apart, (0.03, 0.03)), PAIRS))
        found.append(len(crossed) == 1)
        held.append(all(one.low <= 64 <= one.high and one.overtakes for one in crossed))
    assert np.mean(held) >= least(RUNS)
    assert np.mean(found) > 0.9


def test_the_means_cross_where_straight_lines_on_logarithms_do() -> None:
    apart = 0.1 * np.log2(np.array(SIZES) / 64)
    (found,) = crossings({s: Estimate(math.exp(a), (math.exp(a - 0.01), math.exp(a + 0.01)))
                          for s, a in zip(SIZES, apart, strict=True)})  # fmt: skip
    assert (found.low, found.high, found.overtakes) == (32.0, 128.0, True)
    assert found.at == pytest.approx(64)


def test_lines_that_are_the_same_are_hardly_ever_said_to_differ() -> None:
    rng = np.random.default_rng(4)
    wrong = []
    for _ in range(RUNS):
        found = ratios(*two_lines(rng, np.zeros(len(SIZES)), (0.03, 0.03)), PAIRS)
        wrong.append(any(ratio.figure.shows_effect for ratio in found.values()))
    assert np.mean(wrong) <= stats.binom.ppf(0.999, RUNS, 0.05) / RUNS

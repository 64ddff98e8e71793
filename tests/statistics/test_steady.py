"""Planted warm-ups are cut where they end, noise is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from made_run import result

from m2bench.statistics.steady import mean_error, steady_from, steady_speed


def window(parts: list[tuple[int, float]], sigma: float = 0.03, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(seconds * np.exp(rng.normal(0, sigma))) for count, seconds in parts for _ in range(count)]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("slow", "steady"), [(5, 30), (10, 40), (20, 100)])
def test_a_slow_start_is_cut(slow: int, steady: int, seed: int) -> None:
    assert steady_from(window([(slow, 0.15), (steady, 0.1)], seed=seed)) == slow


def test_what_is_steady_is_kept_whole() -> None:
    cut = [steady_from(window([(40, 0.1)], seed=seed)) != 0 for seed in range(200)]
    assert np.mean(cut) < 0.05


def test_a_window_that_slows_down_at_its_end_is_not_steady() -> None:
    assert steady_from(window([(30, 0.1), (8, 0.2)])) is None


def test_a_single_spike_is_no_change() -> None:
    times = window([(30, 0.1)])
    times[14] *= 3
    assert steady_from(times) == 0


def test_a_few_updates_show_nothing() -> None:
    assert steady_from([1.0, 0.1, 0.1, 0.1]) == 0


def test_equal_times_are_steady() -> None:
    assert steady_from([0.1] * 20) == 0


@pytest.mark.parametrize("resemblance", [0.0, 0.6])
def test_the_error_of_a_mean_is_its_scatter_over_many_windows(resemblance: float) -> None:
    rng = np.random.default_rng(3)
    means, errors, naive = [], [], []
    for _ in range(400):
        noise = rng.normal(0, 0.1, 200)
        for i in range(1, 200):
            noise[i] = resemblance * noise[i - 1] + np.sqrt(1 - resemblance**2) * noise[i]
        update_s = [float(value) for value in 1 + noise]
        means.append(np.mean(update_s))
        errors.append(mean_error(update_s))
        naive.append(np.std(update_s) / np.sqrt(200))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.15)
    if resemblance:
        assert np.mean(naive) < 0.6 * np.std(means)


def test_the_error_of_a_single_update_is_not_known() -> None:
    assert mean_error([0.1]) == np.inf


def test_speed_leaves_out_what_came_before_the_steady_state() -> None:
    update_s = [0.5] * 5 + [0.1] * 40
    assert steady_speed(result(1.0, 2, update_s=tuple(update_s))) == pytest.approx(60 * 2 / 0.1)

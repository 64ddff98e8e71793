"""Whether ratios of several machines differ: against Welch's t test, and against planted truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from m2bench.statistics.estimate import Estimate, mean_ratio
from m2bench.statistics.homogeneity import change, difference_p

SIZES, SDS = (4, 7, 5), (0.01, 0.05, 0.02)
RUNS = 3000


def measured(rng: np.random.Generator, truths: tuple[float, ...], job_sd: float) -> list[Estimate]:
    found = []
    for truth, size, sd in zip(truths, SIZES, SDS, strict=False):
        logs = math.log(truth) + rng.normal(0, job_sd) + rng.normal(0, sd, size)
        estimate = mean_ratio(list(logs))
        assert estimate is not None
        found.append(estimate)
    return found


def test_of_two_it_is_welchs_t_test() -> None:
    one, other = [0.1, 0.3, 0.2, 0.25], [0.5, 0.4, 0.62]
    found = difference_p([each for each in map(mean_ratio, (one, other)) if each is not None])
    assert found == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)


def test_the_change_of_one_to_the_other_is_judged_by_the_same_test() -> None:
    one, other = [0.1, 0.3, 0.2, 0.25], [0.5, 0.4, 0.62]
    exact = stats.ttest_ind(other, one, equal_var=False)
    new, old = mean_ratio(other), mean_ratio(one)
    assert new is not None
    assert old is not None
    found = change(new, old)
    assert found.interval is not None
    assert found.p == pytest.approx(exact.pvalue)
    assert [math.log(bound) for bound in found.interval] == pytest.approx([*exact.confidence_interval(0.95)])
    assert change(new, old, 0.2).p == pytest.approx(difference_p([new, old], 0.2))
    known = Estimate.from_log(0.1, 0.0, 5)
    assert change(known, known, 0.2).log_se == pytest.approx(0.2 * math.sqrt(2)), "what jobs differ by is left"
    assert change(new, Estimate(1.0)).interval is None


def test_of_equal_scatter_and_many_trials_it_is_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    groups = [list(rng.normal(shift, 1.0, 4000)) for shift in (0.0, 0.02, 0.05)]
    found = difference_p([each for each in map(mean_ratio, groups) if each is not None])
    assert found == pytest.approx(stats.f_oneway(*groups).pvalue, rel=0.1)


@pytest.mark.parametrize("job_sd", [0.0, 0.015, 0.05])
def test_where_nothing_differs_one_test_in_twenty_says_so(job_sd: float) -> None:
    rng = np.random.default_rng(1)
    found = [difference_p(measured(rng, (1.6, 1.6, 1.6), job_sd), job_sd) for _ in range(RUNS)]
    assert np.mean([p is not None and p < 0.05 for p in found]) == pytest.approx(0.05, abs=0.015)


def test_what_was_planted_is_found() -> None:
    """1.6x on one machine and 1.1x on another, beside scatter between jobs."""
    rng = np.random.default_rng(2)
    found = [difference_p(measured(rng, (1.6, 1.1, 1.1), 0.015), 0.015) for _ in range(300)]
    assert np.mean([p is not None and p < 0.01 for p in found]) > 0.95


def test_without_a_scatter_there_is_no_test() -> None:
    assert difference_p([Estimate(1.0)]) is None
    assert difference_p([Estimate(1.0), Estimate.from_log(0.1, 0.1, 5)]) is None

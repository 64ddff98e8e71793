"""How far seeds scatter: against scipy, a slow jackknife, and made-up seeds whose scatter is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from m2bench.statistics.spread import scatter_ratio, typical_factor


def test_the_typical_factor_has_the_interval_of_a_standard_deviation() -> None:
    logs = [0.1, 0.5, -0.2, 0.3, 0.25]
    found = typical_factor(logs)
    assert found is not None
    assert found.interval is not None
    deviation = float(np.std(logs, ddof=1))
    ends = [deviation * math.sqrt(4 / stats.chi2.ppf(p, 4)) for p in (0.975, 0.025)]
    assert found.ratio == pytest.approx(math.exp(deviation))
    assert found.interval == pytest.approx(tuple(map(math.exp, ends)))
    assert typical_factor([0.3, 0.3, 0.3]) is None
    assert typical_factor([0.3]) is None


def test_the_ratio_and_its_error_are_those_of_a_jackknife_written_out() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(0, 2, 6), rng.normal(0, 1, 6)) for _ in range(3)]
    found = scatter_ratio([one for one, _ in pairs], [other for _, other in pairs])

    def statistic(kept: list[int]) -> float:
        return float(np.mean([np.log(np.std(a[kept], ddof=1) / np.std(b[kept], ddof=1)) for a, b in pairs]))

    left_out = [statistic([i for i in range(6) if i != out]) for out in range(6)]
    assert found is not None
    assert math.log(found.ratio) == pytest.approx(statistic(list(range(6))))
    assert found.log_se == pytest.approx(math.sqrt(5 / 6 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)))
    assert found.degrees == 5


@pytest.mark.parametrize("planted", [1.0, 0.4])
def test_the_interval_holds_for_seeds_that_share_their_luck(planted: float) -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        luck = rng.normal(size=8)
        pairs = [(planted * (luck + rng.normal(0, 0.7, 8)), luck + rng.normal(0, 0.7, 8)) for _ in range(2)]
        found = scatter_ratio([one for one, _ in pairs], [other for _, other in pairs])
        assert found is not None
        assert found.interval is not None
        hits += found.interval[0] <= planted <= found.interval[1]
    assert 273 <= hits <= 297  # 285 are expected


def test_what_does_not_scatter_has_no_ratio() -> None:
    assert scatter_ratio([[0.1, 0.1, 0.1]], [[0.1, 0.2, 0.3]]) is None
    assert scatter_ratio([[0.1, 0.2]], [[0.1, 0.3]]) is None
    assert scatter_ratio([[0.2, 0.2, 0.5]], [[0.1, 0.2, 0.3]]) is None, "without one seed nothing scatters"
    assert scatter_ratio([[], []], [[], []]) is None

"""The gate's test on simulated machines whose truth is known."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from m2bench.statistics.sequential import Mean, Rule, difference, looks_until, mean_of

THRESHOLD = math.log(0.95)
RULE = Rule(alpha=0.01, max_blocks=14, metrics=2)
NOISES = (0.01, 0.02, 0.03, 0.05)
JOB_SHIFT = 0.26


def simulate(
    noise: float, changes: tuple[float, float], runs: int, drift: float = 0.0, heavy: bool = False, rule: Rule = RULE
) -> Counter[str]:
    """How often each verdict comes, when head makes ``changes`` times the base's episodes/min in two combinations.

    ``noise``: standard deviation of the log speed of one process. A job shifts all its processes alike, and within it
    the machine's speed may ``drift`` by so much from the first process to the last.
    """
    rng = np.random.default_rng(hash((noise, changes, drift, heavy)) % 2**32)
    draw = (lambda size: rng.standard_t(4, size) / math.sqrt(2)) if heavy else rng.standard_normal
    shift = rng.uniform(-JOB_SHIFT, JOB_SHIFT, (runs, 1, 1, 1))
    logs = shift + noise * draw((runs, rule.max_blocks, len(changes), 2))  # run, block, combination, side
    moments = np.arange(rule.max_blocks * len(changes) * 2).reshape(rule.max_blocks, len(changes), 2)
    moments[1::2] = moments[1::2, :, ::-1]  # every second block begins with the other side
    logs = logs + drift * moments / moments.max()
    differences = logs[..., 1] + np.log(changes) - logs[..., 0]
    return Counter(verdict(run, rule) for run in differences)


def verdict(differences: np.ndarray, rule: Rule) -> str:
    for blocks in rule.looks:
        states = {rule.judge(mean_of(column), THRESHOLD) for column in differences[:blocks].T.tolist()}
        if "slower" in states:
            return "regression"
        if states == {"passed"}:
            return "pass"
    return "inconclusive"


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_unchanged_code_raises_no_false_alarm(noise: float, drift: float) -> None:
    found = simulate(noise, (1.0, 1.0), 1000, drift)
    assert found["regression"] <= 10  # 1 %
    if noise <= 0.02 and not drift:
        assert found["pass"] >= 950


@pytest.mark.parametrize("noise", NOISES)
def test_exactly_at_the_threshold_alarms_stay_below_alpha(noise: float) -> None:
    """The worst case of the null hypothesis, in both combinations at once; 3 standard errors of 2000 runs on top."""
    found = simulate(noise, (0.95, 0.95), 2000)
    assert found["regression"] / 2000 <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 2000)


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_a_tenth_less_is_found(noise: float) -> None:
    assert simulate(noise, (1.0, 0.9), 1000)["regression"] >= 950
    assert simulate(noise, (0.9, 0.9), 1000)["regression"] >= 950


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_a_tenth_less_never_passes(noise: float, drift: float) -> None:
    assert simulate(noise, (1.0, 0.9), 2000, drift)["pass"] == 0
    assert simulate(noise, (0.9, 0.9), 2000, drift)["pass"] == 0


def test_heavy_tails_make_it_undecided_and_not_wrong() -> None:
    assert simulate(0.03, (1.0, 1.0), 1000, heavy=True)["regression"] == 0
    assert simulate(0.03, (1.0, 0.9), 1000, heavy=True)["pass"] == 0


def test_noise_makes_it_undecided() -> None:
    undecided = [simulate(noise, (1.0, 1.0), 500)["inconclusive"] for noise in (0.01, 0.03, 0.05, 0.1)]
    assert undecided == sorted(undecided)
    assert undecided[0] == 0
    assert undecided[-1] > 450


@pytest.mark.parametrize(
    ("max_blocks", "looks"),
    [(14, (6, 10, 14)), (3, (3,)), (6, (6,)), (7, (6, 7)), (8, (6, 8)), (10, (6, 8, 10)), (20, (6, 12, 20))],
)
def test_the_looks(max_blocks: int, looks: tuple[int, ...]) -> None:
    assert looks_until(max_blocks) == looks


def scattering(sd: float) -> Mean:
    """What a few blocks of so much noise have shown."""
    return Mean(0.0, sd / math.sqrt(6), 5, sd, 6)


def test_what_is_said_to_be_found_is_found_so_often() -> None:
    """With all blocks at once, since the smallest regression is stated for the last look."""
    rule = Rule(alpha=0.01, max_blocks=6, metrics=1)
    sd = 0.02
    truth = rule.smallest_found(scattering(sd), THRESHOLD)
    rng = np.random.default_rng(3)
    runs = truth + sd * rng.standard_normal((2000, 6))
    found = np.mean([rule.judge(mean_of(run), THRESHOLD) == "slower" for run in runs.tolist()])
    assert 0.74 <= found <= 0.86  # an approximation by the central t distribution


def test_a_machine_that_is_too_noisy_is_told_apart() -> None:
    assert RULE.can_gate(scattering(0.02 * math.sqrt(2)), THRESHOLD)
    assert not RULE.can_gate(scattering(0.05 * math.sqrt(2)), THRESHOLD)
    needed = RULE.blocks_needed(scattering(0.07), THRESHOLD)
    assert needed > 14
    rule = Rule(RULE.alpha, needed, RULE.metrics)
    runs = np.random.default_rng(5).normal(0, 0.07, (500, 2, needed)).tolist()
    passed = np.mean([all(rule.judge(mean_of(logs), THRESHOLD) == "passed" for logs in run) for run in runs])
    assert 0.45 <= passed <= 0.6  # of code that is unchanged, in both metrics


def test_two_samples_are_compared_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.normal(0.1, 0.02, 6).tolist(), rng.normal(0.0, 0.05, 9).tolist()
    found = difference(new, old)
    expected = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.9)
    assert (found.lower(0.05), found.upper(0.05)) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.02])
def test_what_all_of_a_job_share_makes_no_false_alarm_against_a_stored_one(noise: float) -> None:
    """The scatter within one job shows nothing of it; the loss is exactly what is allowed."""
    rng, job_sd, runs = np.random.default_rng(11), 0.01, 2000
    rule = Rule(alpha=0.01, max_blocks=14, metrics=1)
    alarms = known_too_well = 0
    for _ in range(runs):
        old = rng.normal(0, job_sd) + noise * rng.standard_normal(10)
        new = THRESHOLD + rng.normal(0, job_sd) + noise * rng.standard_normal(14)
        for counts, shared in (("alarms", job_sd), ("known too well", 0.0)):
            looks = [rule.judge(difference(new[:n].tolist(), old.tolist(), shared), THRESHOLD) for n in rule.looks]
            alarms += counts == "alarms" and "slower" in looks
            known_too_well += counts != "alarms" and "slower" in looks
    assert alarms / runs <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / runs)
    assert known_too_well / runs > 0.03  # what the test is about


def test_what_is_said_to_be_found_against_a_stored_job_is_found_so_often() -> None:
    rng, job_sd, noise = np.random.default_rng(12), 0.01, 0.02
    rule = Rule(alpha=0.01, max_blocks=6, metrics=1)
    found = []
    for _ in range(1000):
        old = rng.normal(0, job_sd) + noise * rng.standard_normal(40)
        truth = rule.smallest_found(difference([0.0, 2**0.5 * noise], old.tolist(), job_sd), THRESHOLD)
        new = truth + rng.normal(0, job_sd) + noise * rng.standard_normal(6)
        found.append(rule.judge(difference(new.tolist(), old.tolist(), job_sd), THRESHOLD) == "slower")
    assert 0.74 <= np.mean(found) <= 0.99  # an approximation that promises too little


def test_samples_without_any_spread_are_decided() -> None:
    assert RULE.judge(mean_of([-0.2] * 6), THRESHOLD) == "slower"
    assert RULE.judge(mean_of([0.0] * 6), THRESHOLD) == "passed"
    assert difference([0.1, 0.1], [0.1, 0.1]).upper(0.01) == 0

"""The sweep of the number of environments: its plan, and a planted effect that must come back."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_run import FULL, GROWTH, MARKUP, STARTED, make_run, result, run_swept
from scipy import stats

from m2bench.findings.sweep import pooled, rivals, summarize_sweep
from m2bench.plan.sweep import sweep_trials
from m2bench.records.combinations import BASELINE
from m2bench.records.results import NumericsCheck
from m2bench.records.run_spec import RunSpec
from m2bench.records.spec import TrialSpec
from m2bench.records.sweeps import Sweeps, Swept
from m2bench.records.trials import StoredTrial
from m2bench.report import write_report

SPEC = replace(FULL, sweep=(8, 256), learning="off")  # 32 is the run's own number
SWEPT = Swept("batching", 32, Sweeps(option="num_envs", one="environment", many="environments"))
FASTEST = ("batching", "amp", "vectorized-loss")


def speed_trials() -> list[StoredTrial]:
    speeds = {BASELINE: 100.0, FASTEST: 8000.0, ("amp",): 9000.0}
    return [
        StoredTrial(TrialSpec(str(layers), layers, 1, 0), STARTED, 1.0, "ok", None, None, result(speed))
        for layers, speed in speeds.items()
    ]


def swept(spec: RunSpec = SPEC, scatter: dict[int, float] | None = None) -> list[StoredTrial]:
    stored = speed_trials()
    return stored + [
        run_swept(trial, (scatter or {}).get(trial.block, 0.0)) for trial in sweep_trials(spec, SWEPT, stored)
    ]


def test_every_block_holds_every_size_once_between_two_baselines() -> None:
    trials = list(sweep_trials(SPEC, SWEPT, speed_trials()))
    assert len({trial.key for trial in trials}) == len(trials) == 3 * 5
    for block in (1, 2, 3):
        own = [trial for trial in trials if trial.block == block]
        assert (own[0].layers, own[-1].layers) == (BASELINE, BASELINE)
        assert sorted(trial.options["num_envs"] for trial in own[1:-1]) == [8, 32, 256]
        assert {trial.layers for trial in own[1:-1]} == {FASTEST}  # not amp alone, which has no environments
        assert len({trial.seed for trial in own}) == 1


def test_a_run_without_a_sweep_has_none() -> None:
    assert list(sweep_trials(replace(SPEC, sweep=()), SWEPT, speed_trials())) == []
    assert summarize_sweep(replace(SPEC, sweep=()), SWEPT, speed_trials()) is None


def test_what_was_interrupted_goes_on_with_the_same_combination() -> None:
    stored = speed_trials()
    whole = list(sweep_trials(SPEC, SWEPT, stored))
    stored += [run_swept(trial) for trial in whole[:6]]
    faster = StoredTrial(TrialSpec("late", ("batching",), 1, 0), STARTED, 1.0, "ok", None, None, result(99_000.0))
    assert list(sweep_trials(SPEC, SWEPT, [*stored, faster])) == whole[6:]


def test_a_planted_growth_comes_back_whatever_the_machine_did_between_blocks() -> None:
    found = summarize_sweep(SPEC, SWEPT, swept())
    assert found is not None
    for size in found.sizes:
        assert size.speedup is not None
        assert size.speedup.value == pytest.approx(size.num_envs**GROWTH)
    assert found.best is not None
    assert found.best.num_envs == 256


def test_what_all_sizes_share_in_a_block_has_the_degrees_of_freedom_of_the_blocks() -> None:
    """All sizes scatter alike, so none are pooled: a t interval of the blocks, for three sizes at once."""
    scatter = {1: 0.05, 2: -0.02, 3: 0.01}
    found = summarize_sweep(SPEC, SWEPT, swept(scatter=scatter))
    assert found is not None
    logs = np.log([8**GROWTH * (1 + s) for s in scatter.values()])
    low, high = stats.ttest_1samp(logs, 0.0).confidence_interval(1 - 0.05 / 3)
    assert found.sizes[0].speedup is not None
    assert found.sizes[0].speedup.interval == pytest.approx((math.exp(low), math.exp(high)))


@pytest.mark.parametrize("baseline_noise", [0.01, 0.03, 0.09])
@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_the_interval_holds_for_the_best_of_six_sizes_from_three_blocks(baseline_noise: float, slope: float) -> None:
    """Sizes that are equal, or nearly so, scatter by 3 %, their baselines as much, less or more; the best is chosen."""
    rng = np.random.default_rng(0)
    truth = slope * np.arange(6)
    runs = truth[:, None] + rng.normal(0, 0.03, (1500, 6, 3)) - rng.normal(0, baseline_noise / 2**0.5, (1500, 1, 3))
    held = []
    for run in runs:
        logs = {size: dict(enumerate(blocks)) for size, blocks in enumerate(run.tolist())}
        best = int(run.mean(axis=1).argmax())
        low, high = pooled(logs)[best].interval or (0.0, 0.0)
        held.append(low <= math.exp(truth[best]) <= high)
    assert np.mean(held) >= stats.binom.ppf(0.001, 1500, 0.95) / 1500


def test_a_size_that_is_as_fast_as_the_best_is_among_its_rivals_and_a_much_slower_one_is_not() -> None:
    rng = np.random.default_rng(0)
    wrong = []
    for run in rng.normal(0, 0.03, (1000, 6, 3)) + np.array([-1, 0, 0, 0, 0, 0])[:, None]:
        logs = {size: dict(enumerate(blocks)) for size, blocks in enumerate(run.tolist())}
        best = int(run.mean(axis=1).argmax())
        found = rivals(logs, best)
        assert 0 not in found
        wrong.append(set(found) != {1, 2, 3, 4, 5} - {best})
    assert np.mean(wrong) <= stats.binom.ppf(0.999, 1000, 0.05) / 1000


def test_one_block_has_no_interval() -> None:
    assert [found.interval for found in pooled({8: {1: 0.1}, 32: {1: 0.3}}).values()] == [None, None]
    assert rivals({8: {1: 0.1}, 32: {1: 0.3}}, 32) == [8]


def test_a_size_that_failed_or_computes_something_else_has_no_figure() -> None:
    stored = swept()
    for place, trial in enumerate(stored):
        if trial.spec.options.get("num_envs") == 8:
            stored[place] = replace(trial, status="failed", reason="out of memory", result=None)
        if trial.spec.options.get("num_envs") == 256 and trial.spec.block == 2:
            numerics = {"gradient": NumericsCheck(same=False, evidence={}, reason="off")}
            stored[place] = replace(trial, result=replace(trial.timed, numerics=numerics))
    found = summarize_sweep(SPEC, SWEPT, stored)
    assert found is not None
    eight, own, many = found.sizes
    assert (eight.speedup, eight.reason) == (None, "failed: out of memory")
    assert (many.speedup, many.reason) == (None, "numerics changed")
    assert own.speedup is not None


def test_the_report_shows_it(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=replace(FULL, sweep=(8, 256))) as store:
        summary = write_report(store)
    assert summary.sweep is not None
    assert summary.sweep.best is not None
    assert summary.sweep.best.num_envs == 256
    text = (tmp_path / "run" / "report.md").read_text()
    assert "charts/environments.svg" in text
    assert "256 environments are the fastest of those tried, 16.0x" in text
    assert MARKUP not in (tmp_path / "run" / "report.html").read_text()

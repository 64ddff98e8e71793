"""What a run of ``ablate --factors`` finds is what was planted: which way is soonest, and what each factor does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_run import STARTED, make_record

from m2bench.findings.factors import summarize_factors
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import block_trials, count_trials
from m2bench.plan.factors import factors_of
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import Layers
from m2bench.records.factors import Factors
from m2bench.records.figure import Figure
from m2bench.records.results import CurvePoint, LearningResult
from m2bench.report.factors import factors_content
from m2bench.statistics.learning_curve import seconds_until
from m2bench.store.trials import StoredTrial
from m2bench.summary.factors import FactorsSummary
from m2bench.systems.trading.options import LEARNING_FACTORS

FACTORS = Factors(LEARNING_FACTORS, ("batching",))
SPEC = RunSpec(("batching",), (), blocks=8, seed=3, trial_timeout_s=100.0, factors=FACTORS)
PLANTED = {"ppo": 0.25, "gae": 0.6, "curriculum": 1.0}
"""Times the seconds without it."""
PLAIN_S = 40.0


def curve_to(episodes: float, seconds: float, setback: float) -> tuple[CurvePoint, ...]:
    """Two evaluations up, one down by ``setback`` of all movement; the target is reached with the last."""
    returns = (0.0, 1.0, 1.0 - 2 * setback / (1 - 2 * setback), 2.0)
    shares = (0.25, 0.5, 0.75, 1.0)
    return tuple(
        CurvePoint(share * episodes, share * episodes, share * seconds, level)
        for share, level in zip(shares, returns, strict=True)
    )


def trials_of(spec: RunSpec, lost: Mapping[Layers, int] | None = None, scatter: float = 0.05) -> list[StoredTrial]:
    """All trials: seeds differ by a third, which all ways share, and each trial by ``scatter``.

    ``lost``: of a combination, the seed with which it does not arrive.
    """
    rng, found = np.random.default_rng(0), []
    for block in range(1, spec.blocks + 1):
        luck = rng.normal(0, 0.3)
        for trial in block_trials(spec, block):
            chosen = factors_of(trial)
            noise = math.exp(luck + rng.normal(0, scatter))
            seconds = PLAIN_S * math.prod(PLANTED[factor] for factor in chosen) * noise
            arrived = (lost or {}).get(chosen) != trial.seed
            curve = curve_to(10 * seconds, seconds, 0.1 if "ppo" in chosen else 0.3 + rng.normal(0, 0.01))
            learned = LearningResult(
                curve=curve, episodes_per_update=1, episodes_to_target=10 * seconds if arrived else None, proofs={}
            )
            found.append(StoredTrial(trial, STARTED, 1.0, "ok", None, None, learned))
    return found


def summary_of(trials: list[StoredTrial], spec: RunSpec = SPEC) -> FactorsSummary:
    return summarize_factors("run", make_record(spec), trials)


def test_every_combination_is_trained_once_with_each_seed() -> None:
    block = block_trials(SPEC, 2)
    assert len(block) == 8
    assert count_trials(SPEC) == 64
    assert {trial.seed for trial in block} == {4}
    assert {trial.layers for trial in block} == {("batching",)}
    assert {factors_of(trial) for trial in block} == {*FACTORS.combinations}
    assert [factors_of(t) for t in block] != [factors_of(t) for t in block_trials(SPEC, 3)]
    by_factors = {factors_of(trial): trial.options for trial in block}
    plain = {"algorithm": "reinforce", "advantages": "returns", "curriculum": False}
    assert by_factors[()] == plain
    assert by_factors["ppo", "curriculum"] == {**plain, "algorithm": "ppo", "curriculum": True}


def test_a_run_that_is_continued_trains_what_is_missing() -> None:
    trials = trials_of(SPEC)
    description = make_record(SPEC).description
    left = list(remaining_trials(SPEC, description, lambda: trials[:20]))
    assert [trial.key for trial in left] == [trial.spec.key for trial in trials[20:]]
    assert not list(remaining_trials(SPEC, description, lambda: trials))


def within(figure: Figure | None, value: float) -> bool:
    assert figure is not None
    assert figure.interval is not None
    return figure.interval[0] <= value <= figure.interval[1]


def test_planted_effects_come_back_alone_and_on_average() -> None:
    effects = {effect.name: effect for effect in summary_of(trials_of(SPEC)).effects}
    for name, ratio in PLANTED.items():
        found = effects[name]
        assert within(found.seconds_mean, ratio), found
        assert found.seconds_alone is not None
        assert found.seconds_alone.value == pytest.approx(ratio, rel=0.1)
        assert found.episodes_mean is not None
        assert found.seconds_mean is not None
        assert found.episodes_mean.value == pytest.approx(found.seconds_mean.value)
    assert effects["ppo"].seconds_mean is not None
    low, high = effects["ppo"].seconds_mean.interval or (0.0, 9.0)
    assert high / low < 1.1, "the luck of a seed, which all ways share, is no noise"


def test_the_intervals_hold_as_often_as_they_say() -> None:
    hits: Counter[str] = Counter()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        trials = [
            replace(
                trial,
                result=replace(
                    trial.learned,
                    curve=tuple(replace(p, train_s=p.train_s * factor) for p in trial.learned.curve),
                ),
            )
            for trial in trials_of(SPEC, scatter=0.0)
            if trial.learned is not None and (factor := math.exp(rng.normal(0, 0.2)))
        ]
        for effect in summary_of(trials).effects:
            hits[effect.name] += within(effect.seconds_mean, PLANTED[effect.name])
    assert all(count >= 51 for count in hits.values()), hits  # 57 of 60 are expected


def test_the_soonest_way_is_named_with_those_not_shown_to_be_later() -> None:
    """The curriculum does nothing, so that it is a rival of the way without it."""
    found = summary_of(trials_of(SPEC))
    assert {found.soonest, *found.rivals} == {("ppo", "gae"), ("ppo", "gae", "curriculum")}
    text = " ".join(factors_content(found, Path("reports/run")).headline)
    assert "m2bench ablate --resume reports/run --more-blocks 8" in text


def test_what_is_steadier_is_said_by_the_share_that_goes_down() -> None:
    effects = {effect.name: effect for effect in summary_of(trials_of(SPEC)).effects}
    ppo, gae = effects["ppo"].setbacks, effects["gae"].setbacks
    assert ppo is not None
    assert gae is not None
    assert ppo.value == pytest.approx(-0.2, abs=0.05)
    assert within(gae, 0.0)
    content = factors_content(summary_of(trials_of(SPEC)))
    assert "; steadier alone" in content.details[0]
    assert "; not shown to be steadier or less steady alone" in content.details[1]


def test_what_did_not_arrive_is_not_left_out() -> None:
    found = summary_of(trials_of(SPEC, lost={(): 5}))
    plain = next(way for way in found.ways if way.factors == ())
    assert (plain.arrived, plain.trials, plain.seconds) == (7, 8, None)
    assert plain.reason == "1 of 8 did not reach the target in their time"
    effects = {effect.name: effect for effect in found.effects}
    assert effects["ppo"].seconds_alone is None
    assert effects["ppo"].seconds_mean is None
    assert found.soonest is not None


def test_one_seed_gives_figures_without_intervals() -> None:
    spec = replace(SPEC, blocks=1)
    found = summary_of(trials_of(spec), spec)
    assert all(way.seconds is not None and way.seconds.interval is None for way in found.ways)
    assert len(found.rivals) == 7


def test_seconds_lie_on_the_line_between_two_evaluations() -> None:
    curve = [CurvePoint(10, 10, 1.0, 0.0), CurvePoint(20, 20, 3.0, 0.0)]
    assert [seconds_until(curve, e) for e in (5, 10, 15, 20)] == [1.0, 1.0, 2.0, 3.0]

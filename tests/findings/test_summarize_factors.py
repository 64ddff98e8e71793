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

from m2bench.findings.summarize_factors import summarize_factors
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import block_trials, count_trials
from m2bench.plan.factors_trials import factors_of
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Factors
from m2bench.records.figure import Figure
from m2bench.records.results import CurvePoint, LearningResult
from m2bench.report.factors_report import factors_content
from m2bench.statistics.learning_curve import EVALUATION_SPACING, seconds_until
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.factors_summary import FactorsSummary
from m2bench.systems.trading.options import LEARNING_FACTORS

FACTORS = Factors(LEARNING_FACTORS, ("batching",))
SPEC = RunSpec(("batching",), (), blocks=8, seed=3, trial_timeout_s=100.0, factors=FACTORS)
PLANTED = {"ppo": 0.25, "gae": 0.6, "curriculum": 1.0}
"""Times the seconds without it."""
PLAIN_S = 40.0


def curve_to(episodes: float, seconds: float, setback: float) -> tuple[CurvePoint, ...]:
    """Two evaluations up, one down by ``setback`` of all movement; the target is reached with the last.

    They are spaced as those of a trial.
    """
    returns = (0.0, 1.0, 1.0 - 2 * setback / (1 - 2 * setback), 2.0)
    shares = [EVALUATION_SPACING**power for power in (-3, -2, -1, 0)]
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
    assert plain.setbacks is None
    effects = {effect.name: effect for effect in found.effects}
    assert effects["ppo"].seconds_alone is None
    assert effects["ppo"].seconds_mean is None
    assert found.soonest is not None


def test_ways_that_are_not_complete_are_said_not_to_be_compared() -> None:
    """The curriculum is what was lost, so that nothing rivals the soonest."""
    lost = {way: 5 for way in FACTORS.combinations if "curriculum" in way}
    text = " ".join(factors_content(summary_of(trials_of(SPEC, lost))).headline)
    assert "What was compared with it is shown to take longer, with 8 seeds." in text
    assert text.endswith("Not compared: curriculum, ppo+curriculum, gae+curriculum, ppo+gae+curriculum."), text
    late = [t for t in trials_of(SPEC) if "gae" not in factors_of(t.spec)]
    assert "Not compared: gae, " in " ".join(factors_content(summary_of(late)).headline)


def test_every_other_way_is_said_of_all_ways_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANTED, "curriculum", 1.5)
    text = " ".join(factors_content(summary_of(trials_of(SPEC))).headline)
    assert text.endswith("Every other way is shown to take longer, with 8 seeds."), text


def test_the_soonest_is_chosen_by_seeds_that_all_ways_have() -> None:
    """A run that was interrupted within its second seed, which is a lucky one: what has it is not the soonest by it."""
    block = [t for t in trials_of(SPEC, scatter=0.0) if t.spec.block <= 2]
    trials = []
    for trial in block:
        assert trial.learned is not None
        if trial.spec.block == 2 and factors_of(trial.spec) != ():
            continue
        factor = 1e-3 if trial.spec.block == 2 else 1.0
        curve = tuple(replace(point, train_s=factor * point.train_s) for point in trial.learned.curve)
        trials.append(replace(trial, result=replace(trial.learned, curve=curve)))
    assert summary_of(trials).soonest in {("ppo", "gae"), ("ppo", "gae", "curriculum")}


def test_equal_arrivals_are_known_to_within_their_rounding_alone() -> None:
    """Every seed arrives at the same evaluation: what an arrival is uncertain by is then the interval it lies in."""
    trials = []
    for trial in trials_of(replace(SPEC, blocks=3)):
        assert trial.learned is not None
        curve = curve_to(54.0, 5.4, 0.3)
        trials.append(replace(trial, result=replace(trial.learned, curve=curve, episodes_to_target=54.0)))
    found = summary_of(trials, replace(SPEC, blocks=3))
    error = math.log(EVALUATION_SPACING) / math.sqrt(12 * 3)
    for figure, ratios in (
        (found.ways[0].episodes, 1),
        (found.ways[0].seconds, 1),
        (found.effects[0].seconds_alone, 2),
    ):
        assert figure is not None
        assert figure.interval is not None
        half = 4.302653 * error * math.sqrt(ratios)  # t of 2 degrees of freedom
        assert math.log(figure.interval[1] / figure.value) == pytest.approx(half, rel=1e-5)
        assert math.log(figure.value / figure.interval[0]) == pytest.approx(half, rel=1e-5)
    assert len(found.rivals) == 7
    mean = found.effects[0].seconds_mean
    assert mean is not None
    assert mean.interval is not None
    assert math.log(mean.interval[1]) == pytest.approx(4.302653 * error * math.sqrt(2 / 4), rel=1e-5)


def test_what_is_a_little_later_than_its_rounding_is_a_rival() -> None:
    """All seeds of a way arrive 2 % later, without any scatter, where an evaluation comes after each 10 %."""
    trials = []
    for trial in trials_of(replace(SPEC, blocks=2)):
        assert trial.learned is not None
        episodes = 54.0 if factors_of(trial.spec) == ("ppo",) else 55.0
        learned = replace(trial.learned, curve=curve_to(episodes, episodes, 0.3), episodes_to_target=episodes)
        trials.append(replace(trial, result=learned))
    found = summary_of(trials, replace(SPEC, blocks=2))
    assert found.soonest == ("ppo",)
    assert len(found.rivals) == 7


def test_one_seed_gives_figures_without_intervals() -> None:
    spec = replace(SPEC, blocks=1)
    found = summary_of(trials_of(spec), spec)
    assert all(way.seconds is not None and way.seconds.interval is None for way in found.ways)
    assert len(found.rivals) == 7


def test_seconds_lie_on_the_line_between_two_evaluations() -> None:
    curve = [CurvePoint(10, 10, 1.0, 0.0), CurvePoint(20, 20, 3.0, 0.0)]
    assert [seconds_until(curve, e) for e in (5, 10, 15, 20)] == [1.0, 1.0, 2.0, 3.0]

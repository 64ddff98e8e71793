"""What a run of ``ablate --factors`` finds is what was planted: which way is soonest, and what each factor does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_run import STARTED, make_record
from simulated_ways import TRUTHS, curve_to, holds, rates, simulated, spec_of

from m2bench.findings.summarize_factors import summarize_factors
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import block_trials, count_trials
from m2bench.plan.factors_trials import factors_of
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.factors_spec import Factors
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


def alike(found: FactorsSummary) -> list[Layers]:
    """The soonest by seconds, and those not shown to take more."""
    assert found.soonest_by_seconds is not None
    return [found.soonest_by_seconds.factors, *found.soonest_by_seconds.rivals]


def test_planted_effects_come_back_alone_and_on_average() -> None:
    effects = {effect.name: effect for effect in summary_of(trials_of(SPEC)).effects}
    for name, ratio in PLANTED.items():
        found = effects[name]
        assert holds(found.seconds_mean, ratio), found
        assert found.seconds_alone is not None
        assert found.seconds_alone.value == pytest.approx(ratio, rel=0.1)
        assert found.episodes_mean is not None
        assert found.seconds_mean is not None
        assert found.episodes_mean.value == pytest.approx(found.seconds_mean.value)
    assert effects["ppo"].seconds_mean is not None
    low, high = effects["ppo"].seconds_mean.interval or (0.0, 9.0)
    assert high / low < 1.1, "the luck of a seed, which all ways share, is no noise"


def test_where_nothing_differs_false_alarms_are_as_rare_as_stated() -> None:
    """Of 80 runs: 4 may see any way later, 2 a factor sooner, as many later, and 4 a claim confirmed."""
    found = rates(TRUTHS["nothing differs"], 80)
    for by in ("seconds", "episodes"):
        assert found.get(f"any way later, by {by}", 0) <= 8 / 80, found
    for factor in FACTORS.names:
        for seen in ("better", "worse"):
            assert found.get(f"{factor}: {seen} in seconds", 0) <= 7 / 80, found
        for verdict in ("confirmed", "refuted"):
            assert found.get(f"{factor}: claim {verdict}", 0) <= 9 / 80, found
    assert_intervals_hold(found)


def assert_intervals_hold(found: Mapping[str, float]) -> None:
    """Of 100 runs that are looked at, 95 are expected."""
    missing = {what: share for what, share in found.items() if what.endswith("holds") and share < 0.86}
    assert not missing


@pytest.mark.parametrize("ways", [(), ("batching",)], ids=["alone", "with a layer crossed"])
def test_a_way_that_is_planted_to_learn_sooner_is_found_with_its_interval(ways: Layers) -> None:
    """1.5 times sooner with 8 seeds, whose trials scatter by a fifth beside the luck that they share."""
    found = rates(TRUTHS["ppo is 1.5 times sooner"], 40, crossed=ways)
    assert found["ppo: better in seconds"] == 1.0
    assert found["the soonest is found, or not shown to be later, by seconds"] == 1.0
    assert found["any way later, by seconds"] > 0.4
    assert_intervals_hold(found)


def test_a_way_that_is_planted_to_be_steadier_is_found_by_both_measures() -> None:
    found = rates(TRUTHS["ppo is steadier by both measures"], 40)
    assert found["ppo: claim confirmed"] == 1.0
    assert found["gae: claim not shown"] > 0.85
    assert_intervals_hold(found)


def test_every_way_is_compared_with_the_plain_one_seed_by_seed() -> None:
    ways = {way.factors: way for way in summary_of(trials_of(SPEC)).ways}
    both, plain = ways["ppo", "gae"], ways[()]
    assert holds(both.seconds_over_plain, PLANTED["ppo"] * PLANTED["gae"])
    assert holds(both.episodes_over_plain, PLANTED["ppo"] * PLANTED["gae"])
    assert holds(both.steadiness_over_plain.setbacks, -0.2)
    assert holds(ways["gae",].steadiness_over_plain.spread, 1.0)
    assert (plain.seconds_over_plain, plain.episodes_over_plain) == (None, None)


CROSSED = "a layer of 1/10 of the pace that needs 4 times the episodes, and 25 times with ppo"


def test_a_layer_that_pays_for_speed_is_found_to_pay_where_it_does_and_to_cost_where_it_does_not() -> None:
    """To the target it takes 0.4 times the seconds, and 2.5 times as many with ppo."""
    found = rates(TRUTHS[CROSSED], 40, crossed=("batching",))
    for way in map(combination_name, FACTORS.combinations):
        expected = "worse" if "ppo" in way else "better"
        of = f"batching with {way.replace('baseline', 'none')}"
        assert found[f"{of}: better for speed, {expected} to the target"] > 0.95, found
    assert_intervals_hold(found)


def test_whether_the_layers_that_pay_for_speed_pay_here_is_said_of_all_and_of_each() -> None:
    found = simulated(spec_of(crossed=("batching",)), TRUTHS[CROSSED], seed=0)
    details = factors_content(found).details
    assert details[3] == "batching pays for speed; for the time to the target, on average, it is not shown to."
    assert details[4].startswith("batching: 0.099x [")
    assert details[4].endswith(
        "; sooner with none of them, gae, curriculum, gae+curriculum; later with ppo, ppo+gae, ppo+curriculum, "
        "ppo+gae+curriculum."
    )


def test_crossed_layers_are_on_in_half_of_the_trials_in_their_own_order() -> None:
    spec = RunSpec(
        ("batching", "amp", "dataloader"),
        (),
        1,
        seed=0,
        factors=Factors(LEARNING_FACTORS[:1], ("amp",), ("batching", "dataloader")),
    )
    block = {factors_of(trial): trial for trial in block_trials(spec, 1)}
    assert len(block) == count_trials(spec) == 8
    assert block["ppo", "batching"].layers == ("batching", "amp")
    assert block["ppo", "batching"].options == {"algorithm": "ppo"}
    assert block["dataloader",].layers == ("amp", "dataloader")
    assert block[()].layers == ("amp",)


def test_the_soonest_way_is_named_with_those_not_shown_to_be_later() -> None:
    """The curriculum does nothing, so that it is a rival of the way without it."""
    found = summary_of(trials_of(SPEC))
    assert found.soonest_by_seconds is not None
    assert set(alike(found)) == {("ppo", "gae"), ("ppo", "gae", "curriculum")}
    text = " ".join(factors_content(found, (), Path("reports/run")).headline)
    assert "m2bench ablate --resume reports/run --more-blocks 8" in text


def test_what_is_steadier_is_said_by_the_share_that_goes_down() -> None:
    effects = {effect.name: effect for effect in summary_of(trials_of(SPEC)).effects}
    ppo, gae = effects["ppo"].steadiness_mean.setbacks, effects["gae"].steadiness_mean.setbacks
    assert ppo is not None
    assert gae is not None
    assert ppo.value == pytest.approx(-0.2, abs=0.05)
    assert holds(gae, 0.0)
    details = factors_content(summary_of(trials_of(SPEC))).details
    assert "setbacks on the way: less (-20" in details[0]
    assert details[0].endswith('"more stable than REINFORCE", judged by setbacks and spread: confirmed.')
    assert "setbacks on the way: no difference shown" in details[1]


def test_what_did_not_arrive_is_not_left_out() -> None:
    found = summary_of(trials_of(SPEC, lost={(): 5}))
    plain = next(way for way in found.ways if way.factors == ())
    assert (plain.arrived, plain.trials, plain.seconds) == (7, 8, None)
    assert plain.reason == "1 of 8 did not reach the target in their time"
    assert plain.setbacks is None
    effects = {effect.name: effect for effect in found.effects}
    assert effects["ppo"].seconds_alone is None
    assert effects["ppo"].seconds_mean is None
    assert found.soonest_by_seconds is not None


def test_ways_that_are_not_complete_are_said_not_to_be_compared() -> None:
    """The curriculum is what was lost, so that nothing rivals the soonest."""
    lost = {way: 5 for way in FACTORS.combinations if "curriculum" in way}
    text = " ".join(factors_content(summary_of(trials_of(SPEC, lost))).headline)
    assert "Every compared way is shown to take more seconds, with 8 seeds." in text
    assert "Not compared: curriculum, ppo+curriculum, gae+curriculum, ppo+gae+curriculum." in text, text
    late = [t for t in trials_of(SPEC) if "gae" not in factors_of(t.spec)]
    assert "Not compared: gae, " in " ".join(factors_content(summary_of(late)).headline)


def test_every_other_way_is_said_of_all_ways_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANTED, "curriculum", 1.5)
    text = " ".join(factors_content(summary_of(trials_of(SPEC))).headline)
    assert "Every other way is shown to take more seconds, with 8 seeds." in text, text


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
    assert alike(summary_of(trials))[0] in {("ppo", "gae"), ("ppo", "gae", "curriculum")}


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
    assert len(alike(found)) == 8
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
    assert alike(found)[0] == ("ppo",)
    assert len(alike(found)) == 8


def test_one_seed_gives_figures_without_intervals() -> None:
    spec = replace(SPEC, blocks=1)
    found = summary_of(trials_of(spec), spec)
    assert all(way.seconds is not None and way.seconds.interval is None for way in found.ways)
    assert len(alike(found)) == 8


def test_seconds_lie_on_the_line_between_two_evaluations() -> None:
    curve = [CurvePoint(10, 10, 1.0, 0.0), CurvePoint(20, 20, 3.0, 0.0)]
    assert [seconds_until(curve, e) for e in (5, 10, 15, 20)] == [1.0, 1.0, 2.0, 3.0]

"""Planted learning must come back: verdicts, episodes and seconds to the target, and the plan that measures them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_run import description_document, make_record, result
from scipy import stats

from m2bench.findings.episodes_to_target import mean_episodes
from m2bench.findings.learning import Learning
from m2bench.findings.learning_verdict import EPISODES_MARGIN, MARGIN, LearningEffects, judge_learning
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.plan.learners import BUDGET_SHARE, MOST_ROUNDS, learning_trials, sound_speeds
from m2bench.records.combinations import Layers
from m2bench.records.documents import to_json
from m2bench.records.results import CurvePoint, LearningResult, NumericsCheck
from m2bench.records.spec import TrialSpec
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.learning_curve import Curve, arrival, distance, evaluation_episodes
from m2bench.statistics.shapley import shapley_weights
from m2bench.store.stored_trial import RunRecord, StoredTrial

# "wide" takes 8 episodes per update, "rough" computes less exactly, "fast" only computes faster.
SIX_TIMES = {"wide": 12.0, "rough": 0.5, "fast": 2.0}
LAYERS = tuple(SIX_TIMES)
EXACT = ("wide", "fast")
GOOD = 10.0
TARGET = {"good_return": GOOD, "ignorant_return": 0.0, "return": 6.0, "share": 0.6, "measure": "greedy",
          "good_policy": "the known good policy"}  # fmt: skip
BECAUSE = "nothing is known to be good here"
SPEED_TRIAL_S = 16 / 3


def group(layers: Layers) -> int:
    return 8 if "wide" in layers else 1


def speed(layers: Layers) -> float:
    return 600.0 * math.prod(SIX_TIMES[layer] for layer in layers)


def record(mode: str = "quick", blocks: int = 3, target: dict[str, Any] | None = TARGET) -> RunRecord:
    spec = RunSpec(LAYERS, ("full",), blocks, seed=5, learning=mode)
    document = description_document((*LAYERS, "not taking part"))
    document["workload"]["target"] = target
    document["system"] = {**document["system"], "no_target_because": None if target else BECAUSE}
    for layer in document["layers"]:
        layer["exact"] = layer["name"] not in LAYERS or layer["name"] in EXACT
    return make_record(spec, document)


def speed_trials(spec: RunSpec, changed: Layers | None = None) -> list[StoredTrial]:
    return [
        StoredTrial(trial, "", SPEED_TRIAL_S, "ok", None, None, result(
            speed(trial.layers),
            group(trial.layers),
            numerics={"gradient": NumericsCheck(same=trial.layers != changed, evidence={})},
        ))
        for trial in make_trials(spec)
    ]  # fmt: skip


def learned(curve: list[CurvePoint], size: int, arrived: float | None) -> LearningResult:
    return LearningResult(curve=tuple(curve), episodes_per_update=size, episodes_to_target=arrived, proofs={})


def learn(
    trial: TrialSpec, half_life: float, noise: np.random.Generator | None = None, size: int | None = None
) -> StoredTrial:
    """A trial whose return rises to GOOD with this half-life in episodes, until the target or the time limit."""
    assert trial.limit_s is not None
    size = size or group(trial.layers)
    episode_s = 60 / speed(trial.layers)
    curve: list[CurvePoint] = []
    for after in evaluation_episodes():
        episodes = after // size * size
        if curve and curve[-1].episodes == episodes:
            value = curve[-1].mean_return
        else:
            wobble = 0.0 if noise is None else float(noise.normal(scale=0.5))
            value = GOOD * (1 - 2 ** (-episodes / half_life)) + wobble
        curve.append(CurvePoint(after, episodes, episodes * episode_s, value))
        if arrival(curve, 6.0) is not None or episodes * episode_s >= trial.limit_s:
            break
    found = learned(curve, size, arrival(curve, 6.0))
    return StoredTrial(trial, "", episodes * episode_s, "ok", None, None, found)


def curve_of(trial: StoredTrial) -> Curve:
    assert trial.learned is not None
    return trial.learned.curve


def without_arrival(trial: StoredTrial) -> LearningResult:
    assert trial.learned is not None
    return replace(trial.learned, episodes_to_target=None)


def run(
    made: RunRecord, half_lives: dict[Layers, float] | None = None, seed: int | None = None, **changes: Any
) -> tuple[Learning, list[StoredTrial]]:
    """A whole run with planted learning: half-life 40 episodes, 160 with ``wide``, unless ``half_lives`` says."""
    trials = speed_trials(made.spec, **changes)
    rng = None if seed is None else np.random.default_rng(seed)
    for trial in learning_trials(made.spec, EXACT, lambda: trials):
        planted = (half_lives or {}).get(trial.layers, 160.0 if "wide" in trial.layers else 40.0)
        trials.append(learn(trial, planted, rng))
    return Learning(made, trials), [trial for trial in trials if trial.spec.kind == "learning"]


def smooth_arrival(half_life: float, size: int) -> float:
    """Episodes until the mean of six evaluations of a smooth curve reaches the target, worked out apart."""
    numbers = np.array([number for number, _ in zip(evaluation_episodes(), range(80), strict=False)])
    numbers = numbers[numbers >= size]
    returns = GOOD * (1 - 0.5 ** (numbers // size * size / half_life))
    means = np.convolve(returns, np.full(6, 1 / 6), "valid")
    return float(np.exp(np.interp(6.0, means, np.log(numbers[5:]))))


ROUNDED = math.log(1.1) ** 2 / 12  # variance of a uniform distribution between evaluations, of log episodes


def of_layer(learning: Learning, layer: str) -> dict[str, Any]:
    """What the summary says of a layer."""
    found: dict[str, Any] = to_json(learning.of_layer(layer))
    return found


def of_combination(learning: Learning, layers: Layers, episodes_per_min: Estimate) -> dict[str, Any]:
    """What the summary says of a combination."""
    found: dict[str, Any] = to_json(learning.of_combination(layers, episodes_per_min))
    return found


def rounded_sem(values: Any, arrivals: float = 1) -> float:
    """The standard error of a mean over seeds whose values hold so many rounded arrivals (in squares of weights)."""
    return float(np.sqrt((np.var(values, ddof=1) + arrivals * ROUNDED) / len(values)))


# --- verdicts


def comparison(distances: list[float], log_ratios: list[float], all_arrived: bool = True) -> LearningEffects:
    return LearningEffects(dict(enumerate(distances)), dict(enumerate(log_ratios)), all_arrived)


def is_equivalent(values: list[float], margin: float, arrivals: float) -> bool:
    """TOST by two one-sided t tests of an independent library."""
    statistics = np.array([np.mean(values) + margin, margin - np.mean(values)]) / rounded_sem(values, arrivals)
    return float(stats.t.sf(min(statistics), len(values) - 1)) < 0.05


@pytest.mark.parametrize("seed", range(30))
def test_verdicts_follow_from_the_tests_of_an_independent_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 12))
    distances = list(rng.normal(rng.uniform(-0.2, 0.2), rng.uniform(0.01, 0.1), size=count))
    log_ratios = list(rng.normal(rng.uniform(-0.4, 0.4), rng.uniform(0.01, 0.2), size=count))
    verdict = judge_learning(comparison(distances, log_ratios), judged_layers=3)
    errors = rounded_sem(distances, 0), rounded_sem(log_ratios, 2)
    p_values = [
        2 * stats.t.sf(abs(np.mean(values)) / error, count - 1)
        for values, error in zip((distances, log_ratios), errors, strict=True)
    ]
    if is_equivalent(distances, MARGIN, 0) and is_equivalent(log_ratios, math.log(EPISODES_MARGIN), 2):
        assert verdict.verdict == "same"
    elif min(p_values) < 0.05 / 6:
        assert verdict.verdict == "changed"
        assert ("more" if np.mean(distances) > 0 else "less") in verdict.reason
    else:
        assert verdict.verdict == "undecided"
    assert verdict.effect is not None
    assert verdict.effect.interval == pytest.approx(
        stats.t.interval(0.95, count - 1, np.mean(distances), stats.sem(distances))
    )


def test_a_difference_as_large_as_the_margin_is_called_the_same_in_5_percent_at_most() -> None:
    rng = np.random.default_rng(1)
    same = [
        judge_learning(comparison(list(rng.normal(MARGIN, 0.05, 6)), [0.0] * 6), 1).verdict == "same"
        for _ in range(1000)
    ]
    assert np.mean(same) <= stats.binom.ppf(0.999, 1000, 0.05) / 1000


@pytest.fixture(scope="module")
def at_the_margin() -> list[float]:
    """Log ratios of arrivals of many seeds, 1.25 times the episodes apart, the two of a seed sharing its luck."""
    rng = np.random.default_rng(0)
    numbers = np.array([number for number, _ in zip(evaluation_episodes(), range(45), strict=False)])

    def arrive(half_life: float) -> float:
        returns = GOOD * (1 - 2 ** (-numbers / half_life)) + rng.normal(0, 0.15, len(numbers))
        points = zip(numbers.tolist(), returns.tolist(), strict=True)
        came = arrival([CurvePoint(number, number, 0.0, value) for number, value in points], 6.0)
        assert came is not None
        return math.log(came)

    luck = 60 * np.exp(rng.normal(0, 0.3, 900))
    return [arrive(EPISODES_MARGIN * half_life) - arrive(half_life) for half_life in luck]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_few_seeds_call_a_difference_as_large_as_the_margin_the_same_in_5_percent_at_most(
    seeds: int, at_the_margin: list[float]
) -> None:
    """However coarse the evaluations are that the arrivals are seen by."""
    runs = [at_the_margin[at : at + seeds] for at in range(0, len(at_the_margin) - seeds + 1, seeds)]
    same = [judge_learning(comparison([0.0] * seeds, logs), 1).verdict == "same" for logs in runs]
    assert np.mean(same) <= stats.binom.ppf(0.999, len(runs), 0.05) / len(runs)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_ratio_of_episodes_is_covered_by_few_seeds_and_its_interval_has_a_width(
    seeds: int, at_the_margin: list[float]
) -> None:
    runs = [at_the_margin[at : at + seeds] for at in range(0, len(at_the_margin) - seeds + 1, seeds)]
    found = [mean_episodes(logs, 2 * ROUNDED) for logs in runs]
    held = [
        f is not None and f.interval is not None and f.interval[0] <= EPISODES_MARGIN <= f.interval[1] for f in found
    ]
    assert np.mean(held) >= stats.binom.ppf(0.001, len(runs), 0.95) / len(runs)
    tied = mean_episodes([0.0] * seeds, 2 * ROUNDED)
    assert tied is not None
    assert tied.interval is not None
    assert tied.interval[1] / tied.interval[0] > 1.05


def test_no_difference_is_called_a_change_in_5_percent_at_most_over_all_layers() -> None:
    rng = np.random.default_rng(2)
    alarms = [
        any(
            judge_learning(comparison(list(rng.normal(0, 0.3, 6)), list(rng.normal(0, 0.5, 6))), 6).verdict == "changed"
            for _ in range(6)
        )
        for _ in range(400)
    ]
    assert np.mean(alarms) <= stats.binom.ppf(0.999, 400, 0.05) / 400


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_seeds_decide_nothing(count: int) -> None:
    assert judge_learning(comparison([0.0] * count, [0.0] * count), 1).verdict == "undecided"


def test_what_did_not_arrive_is_never_called_the_same() -> None:
    assert judge_learning(comparison([0.0] * 9, [0.0] * 9), 1).verdict == "same"
    assert judge_learning(comparison([0.0] * 9, [0.0] * 9, all_arrived=False), 1).verdict == "undecided"


# --- what a run finds


def test_time_to_target_is_the_groups_episodes_over_the_combinations_own_speed() -> None:
    learning, trials = run(record())
    for layers in learning.layers.speeds:
        episodes = smooth_arrival(160.0 if "wide" in layers else 40.0, group(layers))
        found = of_combination(learning, layers, Estimate(speed(layers)))
        assert found["episodes_to_target"] == pytest.approx(episodes)
        assert found["time_to_target_s"] == pytest.approx(60 * episodes / speed(layers))
    needed = smooth_arrival(160, 8) / smooth_arrival(40, 1)
    assert of_layer(learning, "wide")["episodes_needed"] == pytest.approx(needed)
    assert of_layer(learning, "fast")["episodes_needed"] == 1.0
    assert len({trial.spec.layers for trial in trials}) == 3, "two groups, and rough beside one of them"


def test_seconds_to_the_target_are_as_uncertain_as_episodes_and_speed_together() -> None:
    learning, trials = run(record(), seed=2)
    came = [math.log(t.episodes_to_target or 0) for t in trials if "wide" not in t.spec.layers
            and "rough" not in t.spec.layers]  # fmt: skip
    found = of_combination(learning, (), Estimate.from_log(math.log(600.0), 0.05, 100))
    se = math.hypot(rounded_sem(came), 0.05)
    ends = stats.t.interval(0.95, len(came) - 1, np.mean(came) - math.log(10.0), se)
    assert found["time_to_target_s_ci"] == pytest.approx(np.exp(ends))


def test_a_layer_that_falls_back_less_on_its_way_is_found_to_be_steadier() -> None:
    """Planted: without the layer the return goes up 3 and down 1, with it up 3 and down 0.1, 0.2, ..., by seed."""
    made = record()
    trials = speed_trials(made.spec)
    for trial in learning_trials(made.spec, EXACT, lambda: trials):
        down = 0.1 * (trial.seed - made.spec.seed + 1) if "wide" in trial.layers else 1.0
        curve = [CurvePoint(n, n, 0.0, value) for n, value in ((8, 0.0), (9, 3.0), (10, 3.0 - down))]
        told = learned(curve, group(trial.layers), 10)
        trials.append(StoredTrial(trial, "", 1.0, "ok", None, None, told))
    found = Learning(made, trials).layers.setbacks("wide")
    assert found is not None
    seeds = range(1, found.seeds + 1)
    with_it = [0.1 * seed / (3 + 0.1 * seed) for seed in seeds]
    assert (found.without, found.with_it) == (pytest.approx(1 / 4), pytest.approx(np.mean(with_it)))
    expected = stats.ttest_rel(with_it, [1 / 4] * found.seeds).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(expected))
    assert Learning(made, trials).layers.setbacks("fast") is None, "learns the same by proof: nothing is compared"
    assert Learning(made, speed_trials(made.spec)).layers.setbacks("wide") is None


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_planted_effects_get_their_verdicts(mode: str) -> None:
    learning, _ = run(record(mode), seed=3)
    verdicts = {layer: of_layer(learning, layer) for layer in LAYERS}
    assert verdicts["wide"]["learning"] == "changed"
    assert verdicts["wide"]["learning_effect"] < -MARGIN
    assert verdicts["rough"]["learning"] == verdicts["fast"]["learning"] == "same"
    assert "proved" in verdicts["fast"]["learning_reason"]
    assert of_combination(learning, ("fast",), Estimate(600.0))["learning"] == "same"
    assert of_combination(learning, ("wide", "fast"), Estimate(600.0))["learning"] == "changed"


def test_a_layer_that_spoils_learning_beside_its_loose_contract_is_caught() -> None:
    spoilt = {layers: 1.8 * (160 if "wide" in layers else 40) for layers in (
        ("rough",), ("wide", "rough"), ("rough", "fast"), LAYERS)}  # fmt: skip
    learning, _ = run(record(), spoilt, seed=4)
    found = of_layer(learning, "rough")
    assert (found["learning"], found["learning_effect"] < 0) == ("changed", True)
    assert learning.layers.spoiling == ("rough",)  # wide changes learning too, but by its episodes per update
    # A changed layer is not spoken for by trials without it, but by what it does where it was trained.
    alone = of_combination(learning, ("rough",), Estimate(600.0))
    assert alone["time_to_target_modelled"]
    assert alone["episodes_to_target"] == pytest.approx(smooth_arrival(1.8 * 40, 1), rel=0.3)


def test_a_layer_that_learns_better_is_told_as_well() -> None:
    better = {("wide",): 80.0, ("wide", "fast"): 80.0, ("wide", "rough", "fast"): 20.0}
    learning, _ = run(record(), better, seed=4)
    found = of_layer(learning, "rough")
    assert found["learning"] == "changed"
    assert "learns more" in found["learning_reason"]


def test_full_mode_can_refute_the_proof() -> None:
    spoilt = dict.fromkeys((("fast",), ("rough", "fast")), 200.0)
    spoilt |= dict.fromkeys((("wide", "fast"), LAYERS), 800.0)
    learning, _ = run(record("full"), spoilt, seed=4)
    assert of_layer(learning, "fast")["learning"] == "changed"


def test_a_combination_that_no_check_was_run_on_is_not_trained_for_proof() -> None:
    trials = speed_trials(record().spec)
    unchecked = [replace(t, result=replace(t.timed, numerics={})) if t.spec.layers == LAYERS else t for t in trials]
    assert sound_speeds(trials).keys() - sound_speeds(unchecked).keys() == {LAYERS}


def test_where_the_checks_found_a_change_nothing_is_proved() -> None:
    learning, _ = run(record(), changed=("rough", "fast"))
    assert of_layer(learning, "fast")["learning"] == "undecided"
    assert "not proved" in of_layer(learning, "fast")["learning_reason"]
    changed = of_combination(learning, ("rough", "fast"), Estimate(600.0))
    assert (changed["learning"], changed["time_to_target_s"]) == ("undecided", None)


def run_where(layer: str) -> Learning:
    """A run of which no learning trial with the layer arrives."""
    made = record()
    trials = speed_trials(made.spec)
    for trial in learning_trials(made.spec, EXACT, lambda: trials):
        came = learn(trial, 40.0)
        trials.append(replace(came, result=without_arrival(came)) if layer in trial.layers else came)
    return Learning(made, trials)


def test_a_group_that_does_not_arrive_has_no_time_and_says_how_far_it_came() -> None:
    learning = run_where("wide")
    found = of_combination(learning, ("wide",), Estimate(600.0))
    assert (found["episodes_to_target"], found["time_to_target_s"]) == (None, None)
    assert "did not reach the target" in found["time_to_target_reason"]
    assert of_combination(learning, ("fast",), Estimate(600.0))["time_to_target_s"] is not None


def test_without_learning_trials_only_proofs_stand() -> None:
    learning, trials = run(record("off"))
    assert trials == []
    assert of_layer(learning, "fast")["learning"] == "same"
    assert of_layer(learning, "wide")["learning"] == of_layer(learning, "rough")["learning"] == "undecided"
    assert of_combination(learning, (), Estimate(600.0))["time_to_target_s"] is None


def test_a_market_without_a_target_has_no_times() -> None:
    learning = Learning(made := record(target=None), speed_trials(made.spec))
    assert of_combination(learning, (), Estimate(600.0))["time_to_target_reason"] == BECAUSE


# --- the plan


def test_quick_mode_trains_the_fastest_of_each_group_and_a_rough_one_beside_the_fastest() -> None:
    _, trials = run(record())
    rounds = {trial.spec.block for trial in trials}
    assert rounds == set(range(1, max(rounds) + 1))
    for number in rounds:
        trained = {trial.spec.layers for trial in trials if trial.spec.block == number}
        assert trained == {("fast",), ("wide", "fast"), ("wide", "rough", "fast")}
        assert {trial.spec.seed for trial in trials if trial.spec.block == number} == {5 + number - 1}


def test_quick_mode_keeps_to_its_share_of_the_time_and_stops_at_most_rounds() -> None:
    for half_life in (40.0, 400.0, 4000.0):
        _, few = run(record(blocks=1), {("fast",): half_life})
        spent_s = sum(trial.elapsed_s for trial in few)
        assert spent_s <= BUDGET_SHARE / (1 - BUDGET_SHARE) * SPEED_TRIAL_S * 9
    _, many = run(record(blocks=30))
    assert max(trial.spec.block for trial in many) == MOST_ROUNDS


def test_full_mode_trains_every_combination_once_per_block_in_random_order() -> None:
    made = record("full")
    _, trials = run(made)
    for number in (1, 2, 3):
        order = [trial.spec.layers for trial in trials if trial.spec.block == number]
        assert len(order) == len(set(order)) == 8
    orders = [[t.spec.layers for t in trials if t.spec.block == number] for number in (1, 2, 3)]
    assert orders[0] != orders[1]
    assert all(trial.spec.limit_s == made.spec.trial_timeout_s / 2 for trial in trials)


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_an_interrupted_run_goes_on_as_it_would_have(mode: str) -> None:
    made = record(mode)
    _, whole = run(made, seed=None)
    for kept in (0, 1, 4, len(whole)):
        trials = [*speed_trials(made.spec), *whole[:kept]]
        for trial in learning_trials(made.spec, EXACT, lambda: trials):  # noqa: B023 (used up at once)
            trials += [learn(trial, 160.0 if "wide" in trial.layers else 40.0)]
        assert [t.spec for t in trials if t.spec.kind == "learning"] == [t.spec for t in whole]


def test_failed_learning_trials_count_as_not_arrived_and_are_not_tried_again() -> None:
    made = record()
    trials = speed_trials(made.spec)
    for trial in learning_trials(made.spec, EXACT, lambda: trials):
        failed = StoredTrial(trial, "", 1.0, "failed", "planted", "logs/x.log", None)
        trials.append(failed if trial.block == 1 else learn(trial, 40.0))
    learning = Learning(made, trials)
    assert len(to_json(learning.summary())["failed"]) == 3
    assert max(trial.spec.block for trial in trials if trial.spec.kind == "learning") > 1
    found = of_combination(learning, (), Estimate(600.0))
    assert found["time_to_target_s"] is None
    assert "1 of " in found["time_to_target_reason"]


def test_a_seed_is_one_observation_however_many_pairs_it_has() -> None:
    """In full mode a seed has 8 pairs for each layer; their luck is one and the same here."""
    made = record("full")
    trials = speed_trials(made.spec)
    for trial in learning_trials(made.spec, EXACT, lambda: trials):
        luck = {5: 0.7, 6: 1.0, 7: 1.5}[trial.seed] if "rough" in trial.layers else 1.0
        trials.append(learn(trial, luck * (160.0 if "wide" in trial.layers else 40.0)))
    found = of_layer(Learning(made, trials), "rough")
    assert found["learning_seeds"] == 3
    assert found["learning"] == "undecided"


def test_a_layer_that_takes_half_as_many_episodes_more_is_not_the_same_in_the_coarsest_group() -> None:
    """Most of such a curve lies before its first update, where nothing can differ."""
    half_lives = {False: 400.0, True: 600.0}
    verdicts = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        curves: dict[bool, list[Curve]] = {False: [], True: []}
        for spoilt, half_life in half_lives.items():
            for _ in range(10):
                trial = TrialSpec("x", (), 1, 0, "learning", math.inf)
                curve = curve_of(learn(trial, half_life, rng, size=128))
                curves[spoilt].append(curve)
        pairs = list(zip(curves[False], curves[True], strict=True))
        ratios = [math.log((arrival(b, 6.0) or 0) / (arrival(a, 6.0) or 0)) for a, b in pairs]
        verdicts.append(judge_learning(comparison([distance(a, b) / GOOD for a, b in pairs], ratios), 2).verdict)
    assert "same" not in verdicts
    assert verdicts.count("changed") >= 18


def test_trials_that_are_proved_to_learn_the_same_are_pooled_in_full_mode() -> None:
    learning, trials = run(record("full"), seed=3)
    plain = [t for t in trials if "wide" not in t.spec.layers and "rough" not in t.spec.layers]
    by_seed = [np.mean([np.log(t.episodes_to_target or 0) for t in plain if t.spec.seed == seed]) for seed in (5, 6, 7)]
    found = of_combination(learning, (), Estimate(600.0))
    assert found["episodes_to_target"] == pytest.approx(np.exp(np.mean(by_seed)))
    interval = stats.t.interval(0.95, 2, np.mean(by_seed), rounded_sem(by_seed))
    assert np.log(found["episodes_to_target_ci"]) == pytest.approx(interval)
    assert of_layer(learning, "fast")["episodes_needed"] == 1.0


def test_the_ratio_of_episodes_is_paired_by_seed() -> None:
    learning, trials = run(record(), seed=9)
    logs: dict[bool, dict[int, float]] = {False: {}, True: {}}
    for trial in trials:
        if "rough" not in trial.spec.layers:
            logs["wide" in trial.spec.layers][trial.spec.seed] = math.log(trial.episodes_to_target or 0)
    differences = [logs[True][seed] - logs[False][seed] for seed in logs[True]]
    found = of_layer(learning, "wide")
    assert found["episodes_needed"] == pytest.approx(np.exp(np.mean(differences)))
    interval = stats.t.interval(0.95, len(differences) - 1, np.mean(differences), rounded_sem(differences, 2))
    assert np.log(found["episodes_needed_ci"]) == pytest.approx(interval)


def test_a_layer_measured_beside_others_alone_needs_what_it_needed_there() -> None:
    learning, trials = run(record(), seed=11)
    logs: dict[bool, dict[int, float]] = {False: {}, True: {}}
    for trial in trials:
        if "wide" in trial.spec.layers:
            logs["rough" in trial.spec.layers][trial.spec.seed] = math.log(trial.episodes_to_target or 0)
    differences = [logs[True][seed] - logs[False][seed] for seed in logs[True]]
    assert of_layer(learning, "rough")["episodes_needed"] == pytest.approx(np.exp(np.mean(differences)))


def test_an_undecided_layer_is_not_spoken_for_by_trials_without_it() -> None:
    learning, _ = run(record(blocks=1), {("wide", "rough", "fast"): 230.0}, seed=1)
    assert of_layer(learning, "rough")["learning"] == "undecided"
    alone, trained = (of_combination(learning, layers, Estimate(600.0)) for layers in (("rough",), ("wide", "rough")))
    plain, without = (of_combination(learning, layers, Estimate(600.0)) for layers in ((), ("wide",)))
    assert not trained["time_to_target_modelled"]
    assert alone["time_to_target_modelled"]
    needed = trained["episodes_to_target"] / without["episodes_to_target"]
    assert alone["episodes_to_target"] == pytest.approx(plain["episodes_to_target"] * needed)


def test_a_layer_that_did_not_arrive_where_it_was_trained_is_no_model_for_elsewhere() -> None:
    found = of_combination(run_where("rough"), ("rough",), Estimate(600.0))
    assert (found["time_to_target_s"], found["time_to_target_modelled"]) == (None, False)
    assert "no learning trial stands for it" in found["time_to_target_reason"]


def test_a_contrast_of_episodes_is_the_mean_over_seeds_of_the_weighted_sum() -> None:
    learning, trials = run(record(), seed=9)
    logs: dict[bool, dict[int, float]] = {False: {}, True: {}}
    for trial in trials:
        if "rough" not in trial.spec.layers:
            logs["wide" in trial.spec.layers][trial.spec.seed] = math.log(trial.episodes_to_target or 0)
    # All of rough's trials stand aside: it learns the same, so both of a pair that differ in it alone cancel.
    assert of_layer(learning, "rough")["learning"] == "same"
    fast = learning.episodes.contrast(shapley_weights(LAYERS, "fast"))
    assert fast is not None
    assert (fast.ratio, fast.log_se) == (1.0, 0.0)
    half = learning.episodes.contrast({("wide",): 0.5, ("fast",): -0.5})
    differences = [(logs[True][seed] - logs[False][seed]) / 2 for seed in logs[True]]
    assert half is not None
    assert math.log(half.ratio) == pytest.approx(np.mean(differences))
    assert half.log_se == pytest.approx(rounded_sem(differences, 0.25 + 0.25))


def test_the_summary_tells_how_far_the_seeds_of_a_cell_have_come() -> None:
    learning, trials = run(record(), seed=8)
    for cell in to_json(learning.summary())["cells"]:
        curves = [curve_of(t) for t in trials if list(t.spec.layers) == cell["layers"]]
        assert len(cell["curve"]) == max(len(curve) for curve in curves)
        assert tuple(cell["curve"][-1]) == (max(curve[-1].after for curve in curves), pytest.approx(6.0))

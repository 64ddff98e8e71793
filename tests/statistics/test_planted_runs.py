"""Effects of layers that need or exclude each other, and of fractions: planted, and to be found again."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from planted_runs import (
    CHAIN,
    SCENARIOS,
    Scenario,
    allowed,
    beside_chain,
    every,
    level,
    orders,
    plant,
    simulate,
    tally,
    true_interaction,
    true_main,
    true_shapley,
)

from m2bench.records.rules import Rules
from m2bench.statistics.prediction import Prediction
from m2bench.statistics.shapley import shapley_weights

EXACT = 1e-7


@pytest.mark.parametrize(
    "name",
    [
        "3 layers, full",
        "5 layers with rules, full",
        "8 layers, fraction",
        "8 layers with rules, fraction",
        "12 layers with rules",
    ],
)
def test_without_noise_everything_that_was_planted_is_found(name: str) -> None:
    scenario = SCENARIOS[name]
    planted = plant(scenario, np.random.default_rng(3))
    effects = simulate(scenario, planted, EXACT, seed=0, drift=0.0)
    for layer in scenario.layers:
        assert math.log(effects.main_effect(layer).ratio) == pytest.approx(
            true_main(scenario, planted, layer), abs=1e-4
        )
        shapley = effects.shapley(layer)[0]
        assert math.log(shapley.ratio) == pytest.approx(true_shapley(scenario, planted, layer), abs=1e-4)
    for one, other in combinations(scenario.layers, 2):
        found, truth = effects.interaction((one, other)), true_interaction(scenario, planted, one, other)
        assert (found is None) == (truth is None)
        if truth is not None:
            assert math.log(found.ratio) == pytest.approx(truth, abs=1e-4)
    prediction = Prediction(effects)
    for chosen in every(scenario)[1::37]:
        assert math.log(prediction.ratio(chosen).ratio) == pytest.approx(level(planted, chosen), abs=0.01)


@pytest.mark.parametrize(
    "rules", [Rules(), Rules(needs=(("b", "a"), ("c", "b"))), Rules(needs=(("c", "a"), ("c", "b"), ("e", "d")))]
)
def test_shapley_weights_are_the_average_over_all_orders_that_are_possible(rules: Rules) -> None:
    layers = tuple("abcde")
    rng = np.random.default_rng(0)
    value = {c: rng.normal() for size in range(6) for c in combinations(layers, size) if allowed(rules, c)}
    possible = list(orders(rules, layers))
    assert len(possible) == len([o for o in permutations(layers) if all(allowed(rules, o[:n]) for n in range(6))])
    total = 0.0
    for layer in layers:
        gains = []
        for order in possible:
            before = tuple(x for x in layers if x in order[: order.index(layer)])
            gains.append(value[tuple(x for x in layers if x in {*before, layer})] - value[before])
        fast = sum(weight * value[c] for c, weight in shapley_weights(layers, layer, rules).items())
        assert fast == pytest.approx(np.mean(gains))
        total += fast
    assert total == pytest.approx(value[layers] - value[()])


def test_the_parts_of_what_can_be_together_multiply_to_its_total() -> None:
    scenario = SCENARIOS["5 layers with rules, full"]
    effects = simulate(scenario, plant(scenario, np.random.default_rng(0)), 0.1, seed=0)
    assert effects.all_together == beside_chain(5)
    product = math.prod(effects.shapley(layer)[0].ratio for layer in effects.all_together)
    assert product == pytest.approx(effects.ratio(effects.all_together).ratio)
    assert effects.share("e") is None, "e is no part of it"


def test_layers_that_all_exclude_each_other_are_each_measured_alone() -> None:
    rules = Rules(excludes=tuple(combinations("abc", 2)))
    scenario = Scenario(3, rules, ("full",), together=("a",))
    effects = simulate(scenario, {("a",): 0.1, ("b",): 0.2, ("c",): 0.3}, EXACT, seed=0)
    assert [round(math.log(effects.main_effect(x).ratio), 4) for x in "abc"] == [0.1, 0.2, 0.3]
    assert [round(math.log(effects.shapley(x)[0].ratio), 4) for x in "abc"] == [0.1, 0.2, 0.3]
    assert Prediction(effects).ratio(("c",), ("b",)).ratio == pytest.approx(math.exp(0.1), rel=1e-3)


def test_what_three_layers_do_together_widens_the_intervals_of_what_is_predicted() -> None:
    """Twelve layers leave no room for interactions of three: without what the model misses, three of four hold."""
    scenario = SCENARIOS["12 layers, fraction"]
    held = []
    for seed in range(2):
        planted = plant(scenario, np.random.default_rng(seed), triples=4)
        prediction = Prediction(simulate(scenario, planted, 0.05, seed))
        for chosen in every(scenario)[3::41]:
            low, high = prediction.ratio(chosen).interval
            held.append(low <= math.exp(level(planted, chosen)) <= high)
    assert np.mean(held) > 0.9


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("3 layers, full", 8),
        ("7 layers, full", 2),
        ("8 layers, fraction", 3),
        ("8 layers with rules, fraction", 4),
        ("12 layers with rules", 1),
    ],
)
def test_intervals_hold_and_what_is_recommended_helps(name: str, runs: int) -> None:
    """Few runs, of many figures each; ``planted_runs.py`` makes more of them."""
    scenario = SCENARIOS[name]
    found = tally(scenario, runs, sd=0.05, drift=0.3)
    assert set(found.kinds) <= {"near", "less"}, found.kinds
    for what, hits in found.covered.items():
        least = 0.95 - 4 * math.sqrt(0.95 * 0.05 / len(hits)) - 1 / len(hits)
        assert np.mean(hits) >= least, (what, np.mean(hits), len(hits))


def test_the_chain_is_as_it_is_said_to_be() -> None:
    assert allowed(CHAIN, ("a", "b", "d"))
    assert not allowed(CHAIN, ("b",))
    assert not allowed(CHAIN, ("d", "e"))

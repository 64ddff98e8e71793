"""Claims and recommendations against cases worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from m2bench.effects import Effects, Estimate, Observation
from m2bench.learning import Setbacks
from m2bench.spec import Layers
from m2bench.verdicts import also_claimed, attribute_gains, judge_claim, recommend


def layer(low: float, high: float, phase: str | None = None, unsupported: str | None = None) -> dict[str, Any]:
    return {"claim": {"low": low, "high": high, "text": f"{low}-{high}x", "phase": phase}, "unsupported": unsupported}


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((2.1, 2.4), "exceeded"),
        ((1.6, 1.9), "confirmed"),
        ((1.6, 2.4), "confirmed"),
        ((1.4, 1.6), "inconclusive"),
        ((0.9, 2.5), "inconclusive"),
        ((1.1, 1.3), "short"),
        ((0.95, 1.05), "refuted"),
        ((0.5, 0.6), "refuted"),
    ],
)
def test_the_interval_decides_about_the_claim(interval: tuple[float, float], verdict: str) -> None:
    found = judge_claim(layer(1.5, 2.0), Estimate(math.sqrt(interval[0] * interval[1]), interval))
    assert found is not None
    assert found.verdict == verdict
    assert f"[{interval[0]:.2f}, {interval[1]:.2f}]" in found.sentence


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.97, 1.03), "confirmed"), ((1.1, 1.2), "exceeded"), ((0.8, 0.9), "refuted"), ((0.9, 1.1), "inconclusive")],
)
def test_no_extra_cost_may_cost_what_nobody_notices(interval: tuple[float, float], verdict: str) -> None:
    found = judge_claim(layer(1.0, 1.0), Estimate(1.0, interval))
    assert found is not None
    assert found.verdict == verdict


def test_a_layer_that_cannot_run_has_its_reason_and_one_that_did_not_has_no_verdict() -> None:
    found = judge_claim(layer(1, 2, unsupported="no compiler"), None)
    assert found is not None
    assert (found.verdict, "no compiler" in found.sentence) == ("unsupported", True)
    assert judge_claim(layer(1, 2), None) is None
    without_interval = judge_claim(layer(1, 2), Estimate(1.5))
    assert without_interval is not None
    assert without_interval.verdict == "inconclusive"


# --- recommendation

SPEEDS: dict[Layers, float] = {(): 100, ("a",): 1000, ("b",): 101, ("c",): 70, ("a", "b"): 1010, ("a", "c"): 700,
                               ("b", "c"): 70, ("a", "b", "c"): 710}  # fmt: skip


def speeds(sigma: float = 0.001) -> Effects:
    observations = [
        Observation(f"{index}.{layers}", layers, (index,), speed * math.exp(sigma * (-1) ** (index + place)))
        for index in range(4)
        for place, (layers, speed) in enumerate(SPEEDS.items())
    ]
    return Effects(("a", "b", "c"), observations)


def combinations(**changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "layers": list(layers),
            "status": "ok",
            "numerics": "same",
            "speedup": speed / 100,
            "speedup_ci": [speed / 101, speed / 99],
            "learning": "same",
            "trials": 4,
            "trials_ok": 4,
            "episodes_needed": None,
            "episodes_per_update": 32 if "a" in layers else 1,
            "time_to_target_s": None,
            "time_to_target_modelled": False,
            **changes.get("+".join(layers), {}),
        }
        for layers, speed in SPEEDS.items()
    ]


@pytest.mark.parametrize(
    ("interval", "verdict"), [((0.4, 0.45), "as claimed"), ((0.45, 0.6), "inconclusive"), ((1.0, 1.1), "refuted")]
)
def test_a_claim_on_memory_is_judged_by_its_interval(interval: tuple[float, float], verdict: str) -> None:
    layer = {"claim": {"memory": 0.5, "text": "half the memory"}}
    said = also_claimed(layer, {"alone": 0.5, "alone_ci": interval}, None, "same")
    assert said.endswith(f"{verdict}; learning from the same episodes: same")
    other = {"claim": {"text": "1.5-2x"}}
    assert "memory" not in also_claimed(other, {"alone": 0.5, "alone_ci": interval}, None, "changed")


@pytest.mark.parametrize(
    ("interval", "verdict"), [((-0.3, -0.1), "as claimed"), ((-0.2, 0.1), "inconclusive"), ((0.05, 0.1), "refuted")]
)
def test_a_claim_of_stability_is_judged_by_what_falls_back(interval: tuple[float, float], verdict: str) -> None:
    layer = {"claim": {"text": "stability, no extra cost"}}
    found = Setbacks(without=0.3, with_it=0.3 + sum(interval) / 2, interval=interval, seeds=6)
    said = also_claimed(layer, {"alone_ci": None}, found, "changed")
    assert said.endswith(f"6 seeds), {verdict}; learning from the same episodes: changed")
    assert "stability: not measured" in also_claimed(layer, {"alone_ci": None}, None, "changed")


def unknown(c: dict[str, Any], other: dict[str, Any]) -> None:
    return None


def test_the_smallest_set_as_good_as_the_best_is_recommended_and_the_rest_is_priced() -> None:
    advice = recommend(("a", "b", "c"), combinations(), speeds(), unknown)
    assert advice is not None
    assert advice["layers"] == ["a"]
    prices = {left["layer"]: left["ratio"] for left in advice["left_out"]}
    assert prices == {"b": pytest.approx(1.01, rel=0.01), "c": pytest.approx(0.7, rel=0.01)}
    assert "learning was not compared" in advice["why"]


def test_what_the_recommended_set_would_lose_without_each_of_its_layers_is_told() -> None:
    """Of 1010 episodes/min a + b have 101 without a, and 1000 without b."""
    advice = recommend(("a", "b", "c"), combinations(), speeds(sigma=0.2), unknown)
    assert advice is not None
    a, b = advice["kept"]
    assert (a["layer"], a["ratio"]) == ("a", pytest.approx(0.1, rel=0.3))
    assert a["ratio_ci"][1] < 1
    assert (b["layer"], b["ratio"]) == ("b", pytest.approx(0.99, rel=0.3))
    assert b["ratio_ci"][0] < 1 < b["ratio_ci"][1]


def test_what_makes_most_of_the_gains_is_named_with_its_share() -> None:
    """Of c, which costs 30 %, nothing is said; a gains 10x, b 1.01x: log 10 / (log 10 + log 1.01) is 99.6 %."""
    effects = speeds()
    layers = []
    for name in ("c", "b", "a"):
        value, _ = effects.shapley(name)
        assert value is not None
        layers.append({"name": name, "shapley": value.ratio, "shapley_ci": value.interval})
    gains = attribute_gains(layers, effects)
    assert gains is not None
    assert (gains["layers"], gains["makers"]) == (["a", "b"], ["a"])
    assert gains["share"] == pytest.approx(math.log(10) / math.log(10.1), abs=0.002)
    low, high = gains["share_ci"]
    assert low < gains["share"] < high < 1
    assert attribute_gains(layers[:1], effects) is None


def test_how_the_fastest_stands_to_the_recommended_is_told() -> None:
    advice = recommend(("a", "b", "c"), combinations(), speeds(), unknown)
    assert advice is not None
    assert advice["fastest"]["layers"] == ["a", "b"]
    assert advice["fastest"]["ratio"] == pytest.approx(1.01, rel=0.002)
    assert advice["fastest"]["ratio_ci"][0] > 1
    assert advice["fastest"]["but"] == "this has fewer layers, and what is within 5% counts as good"
    alone = recommend(("a", "b", "c"), combinations(), speeds(sigma=0.2), unknown)
    assert alone is not None
    assert alone["fastest"] is None


@pytest.mark.parametrize(
    ("changes", "spoiling", "but"),
    [
        ({}, ("a",), "with a it learns otherwise from the same episodes"),
        ({"time_to_target_s": None}, (), "its time to the learning target is not known"),
        ({"time_to_target_modelled": True}, (), "its time to the learning target is known by a model alone"),
        ({"episodes_per_update": 32}, (), "this reaches the learning target 3.0x [2.0, 4.0] as soon"),
    ],
)
def test_why_the_fastest_is_not_recommended(changes: dict[str, Any], spoiling: Layers, but: str) -> None:
    known = {
        "+".join(layers): {"time_to_target_s": 50.0 if layers == ("b",) else 100.0, "episodes_per_update": 1}
        | (changes if "a" in layers else {})
        for layers in SPEEDS
    }
    advice = recommend(
        ("a", "b", "c"), combinations(**known), speeds(), lambda c, other: Estimate(3.0, (2.0, 4.0)), spoiling
    )
    assert advice is not None
    assert "a" not in advice["layers"]
    assert advice["fastest"]["but"] == but


@pytest.mark.parametrize(
    ("estimate", "but"),
    [
        (
            Estimate(1.3, (0.9, 1.9)),
            "this reaches the learning target an estimated 1.30x [0.90, 1.90] as soon, which is not shown to be sooner",
        ),
        (Estimate(1.3), "this reaches the learning target an estimated 1.30x as soon, which is not shown to be sooner"),
        (None, "this is not shown to reach the learning target sooner"),
    ],
)
def test_what_is_not_shown_to_be_sooner_is_not_said_to_be(estimate: Estimate | None, but: str) -> None:
    known = {
        "+".join(layers): {"time_to_target_s": 100.0 if "a" in layers else 50.0, "episodes_per_update": 1 + len(layers)}
        for layers in SPEEDS
    }
    advice = recommend(("a", "b", "c"), combinations(**known), speeds(), lambda c, other: estimate)
    assert advice is not None
    assert advice["fastest"]["but"] == but


def test_what_is_not_shown_to_be_as_good_is_not_taken_for_it() -> None:
    advice = recommend(("a", "b", "c"), combinations(), speeds(sigma=0.2), unknown)
    assert advice is not None
    assert advice["layers"] == ["a", "b"]


def test_a_combination_that_computes_something_else_is_never_recommended() -> None:
    changed = {"a": {"numerics": "changed"}, "a+b": {"numerics": "changed"}}
    advice = recommend(("a", "b", "c"), combinations(**changed), speeds(), unknown)
    assert advice is not None
    assert advice["layers"] == ["a", "c"]


def test_a_layer_that_spoils_learning_is_never_recommended() -> None:
    advice = recommend(("a", "b", "c"), combinations(), speeds(), unknown, spoiling=("a",))
    assert advice is not None
    assert advice["layers"] == []


def test_the_time_to_target_decides_where_it_is_known() -> None:
    """With ``a``, fast as it is, learning takes fifty times the episodes."""
    known = {
        "+".join(layers): {
            "time_to_target_s": 60 * (5000 if "a" in layers else 100) / speed,
        }
        for layers, speed in SPEEDS.items()
    }
    advice = recommend(("a", "b", "c"), combinations(**known), speeds(), unknown)
    assert advice is not None
    assert advice["layers"] == []


def test_what_is_shown_to_learn_otherwise_is_not_recommended_where_time_to_target_cannot_weigh_it() -> None:
    changed = {"+".join(layers): {"learning": "changed"} for layers in SPEEDS if "a" in layers}
    advice = recommend(("a", "b", "c"), combinations(**changed), speeds(), unknown)
    assert advice is not None
    assert "a" not in advice["layers"]


def test_what_learning_costs_and_what_is_not_shown_is_said() -> None:
    known = {
        "+".join(layers): {
            "time_to_target_s": 60 * (300 if "a" in layers else 100) / speed,
            "episodes_needed": 3.0 if "a" in layers else 1.0,
            "episodes_needed_ci": (2.0, 4.5) if "a" in layers else (1.0, 1.0),
            "learning": "changed" if "a" in layers else "same",
        }
        for layers, speed in SPEEDS.items()
    }
    advice = recommend(("a", "b", "c"), combinations(**known), speeds(), unknown)
    assert advice is not None
    assert advice["layers"] == ["a"]
    assert "needs 3.0x [2.0, 4.5] the baseline's episodes" in advice["why"]
    assert "sooner than with 1 episodes per update is not shown" in advice["why"]
    clear = recommend(("a", "b", "c"), combinations(**known), speeds(), lambda c, other: Estimate(3.0, (2.0, 4.0)))
    assert clear is not None
    assert "not shown" not in clear["why"]


def test_a_faster_one_that_failed_once_is_named() -> None:
    failed = {"a": {"status": "failed", "trials_ok": 3}}
    advice = recommend(("a", "b", "c"), combinations(**failed), speeds(), unknown)
    assert advice is not None
    assert advice["layers"] == ["a", "b"]
    assert advice["why"].endswith("; a was left aside, since 1 of 4 trials did not come out ok")


def test_the_baseline_is_never_left_aside() -> None:
    failed = {"": {"status": "failed", "trials": 9, "trials_ok": 8}}
    advice = recommend(("a", "b", "c"), combinations(**failed), speeds(), unknown)
    assert advice is not None
    assert advice["layers"] == ["a"]
    assert "left aside" not in advice["why"]


def test_without_intervals_advice_is_provisional() -> None:
    bare = {"+".join(layers): {"speedup_ci": None} for layers in SPEEDS}
    advice = recommend(("a", "b", "c"), combinations(**bare), speeds(), unknown)
    assert advice is not None
    assert "provisional" in advice["why"]


def test_without_two_figures_nothing_is_recommended() -> None:
    assert recommend(("a",), [], Effects(("a",), []), unknown) is None
    assert recommend(("a", "b", "c"), combinations()[:1], speeds(), unknown) is None

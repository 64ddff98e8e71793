"""Claims against cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from m2bench.findings.claims import also_claimed, judge_claim
from m2bench.findings.gains import attribute_gains
from m2bench.findings.layer_learning import Setbacks
from m2bench.records.combinations import Layers
from m2bench.records.description import Claim, LayerDescription, Unit
from m2bench.records.figure import Figure
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.factorial import Observation
from m2bench.summary.rows import Attribution, Claimed, Engagement, LayerRow, LearningOfLayer, Responses, TimeAttribution

EPISODE = Unit("episode", "episodes")


def layer(low: float, high: float, phase: str | None = None, unsupported: str | None = None) -> LayerDescription:
    claim = replace(claimed(f"{low}-{high}x"), low=low, high=high, phase=phase)
    return LayerDescription(name="a", part="a", claim=claim, exact=True, compiles=False, unsupported=unsupported)


def claimed(text: str, memory: float | None = None) -> Claim:
    return Claim(low=1.5, high=2.0, text=text, difficulty="low", priority="low", memory=memory)


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


# --- gains, memory, stability

SPEEDS: dict[Layers, float] = {(): 100, ("a",): 1000, ("b",): 101, ("c",): 70, ("a", "b"): 1010, ("a", "c"): 700,
                               ("b", "c"): 70, ("a", "b", "c"): 710}  # fmt: skip


def speeds(sigma: float = 0.001) -> Effects:
    observations = [
        Observation(f"{index}.{layers}", layers, (index,), speed * math.exp(sigma * (-1) ** (index + place)))
        for index in range(4)
        for place, (layers, speed) in enumerate(SPEEDS.items())
    ]
    return Effects(("a", "b", "c"), observations)


@pytest.mark.parametrize(
    ("interval", "verdict"), [((0.4, 0.45), "as claimed"), ((0.45, 0.6), "inconclusive"), ((1.0, 1.1), "refuted")]
)
def test_a_claim_on_memory_is_judged_by_its_interval(interval: tuple[float, float], verdict: str) -> None:
    claim = claimed("half the memory", memory=0.5)
    said = also_claimed(claim, Figure(0.5, interval), None, "same", EPISODE)
    assert said.endswith(f"{verdict}; learning from the same episodes: same")
    unstored = claimed("half the memory")
    assert "memory: not judged" in also_claimed(unstored, Figure(0.5, interval), None, "same", EPISODE)
    other = claimed("1.5-2x")
    assert "memory" not in also_claimed(other, Figure(0.5, interval), None, "changed", EPISODE)


@pytest.mark.parametrize(
    ("interval", "verdict"), [((-0.3, -0.1), "as claimed"), ((-0.2, 0.1), "inconclusive"), ((0.05, 0.1), "refuted")]
)
def test_a_claim_of_stability_is_judged_by_what_falls_back(interval: tuple[float, float], verdict: str) -> None:
    claim = claimed("stability, no extra cost")
    found = Setbacks(without=0.3, with_it=0.3 + sum(interval) / 2, interval=interval, seeds=6)
    said = also_claimed(claim, None, found, "changed", EPISODE)
    assert said.endswith(f"6 seeds): {verdict}; learning from the same episodes: changed")
    assert "stability: not measured" in also_claimed(claim, None, None, "changed", EPISODE)


def layer_row(name: str, shapley: Figure) -> LayerRow:
    """A layer of which nothing is known but its Shapley value."""
    return LayerRow(
        name=name, part="", difficulty="", priority="", claim=Claimed((1.0, 2.0), "", None),
        speed=Attribution(shapley=shapley), claimed_effect=None, verdict=None, verdict_sentence=None, reason=None,
        engagement=Engagement("engaged", ""), learning=LearningOfLayer("undecided", ""), time_to_target=None,
        gain_surviving=None,
        responses=Responses(TimeAttribution(), Attribution(), Attribution()),
    )  # fmt: skip


def test_what_makes_most_of_the_gains_is_named_with_its_share() -> None:
    """Of c, which costs 30 %, nothing is said; a gains 10x, b 1.01x: log 10 / (log 10 + log 1.01) is 99.6 %."""
    effects = speeds()
    layers = []
    for name in ("c", "b", "a"):
        value, _ = effects.shapley(name)
        assert value is not None
        layers.append(layer_row(name, value.figure))
    gains = attribute_gains(layers, effects)
    assert gains is not None
    assert (gains.layers, gains.makers) == (("a", "b"), ("a",))
    assert gains.share.value == pytest.approx(math.log(10) / math.log(10.1), abs=0.002)
    assert gains.share.interval is not None
    low, high = gains.share.interval
    assert low < gains.share.value < high < 1
    assert attribute_gains(layers[:1], effects) is None

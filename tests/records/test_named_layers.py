"""What names of layers and sets stand for, and which combinations their rules allow."""

from __future__ import annotations

import pytest
from planted_runs import CHAIN, Scenario, every

from m2bench.records.rules import NO_RULES, NamedLayers, Rules


def test_a_set_stands_for_its_layers_and_without_names_the_default_takes_part() -> None:
    known = NamedLayers(("a", "b", "c"), sets={"few": ("a", "b")}, default="few")
    assert known.named(None) == ("a", "b")
    assert known.named(["few", "c"]) == ("a", "b", "c")
    assert known.named(["all"]) == ("a", "b", "c")
    assert known.named(["c", "unknown"]) == ("c", "unknown"), "whoever asks refuses it"


def test_a_layer_is_meant_before_a_set_of_its_name() -> None:
    assert NamedLayers(("all", "b")).named(["all"]) == ("all",)


def test_without_a_default_all_layers_take_part() -> None:
    assert NamedLayers(("a", "b")).named(None) == ("a", "b")


@pytest.mark.parametrize(
    "rules",
    [NO_RULES, CHAIN, Rules(needs=(("a", "c"), ("a", "f"), ("c", "e"))), Rules(excludes=(("a", "b"), ("b", "f")))],
)
def test_what_is_allowed_is_what_is_left_of_all_combinations(rules: Rules) -> None:
    scenario = Scenario(6, rules)
    assert rules.allowed(scenario.layers) == every(scenario)
    count = len(every(scenario))
    assert rules.allows_more_than(count - 1, scenario.layers)
    assert not rules.allows_more_than(count, scenario.layers)

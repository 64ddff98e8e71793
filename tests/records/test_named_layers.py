"""What names of layers and sets stand for."""

from __future__ import annotations

from m2bench.records.rules import NamedLayers


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

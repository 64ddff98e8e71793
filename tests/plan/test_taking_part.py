"""Layers that cannot take part are refused with one message each."""

from __future__ import annotations

import pytest

from m2bench.errors import UserError
from m2bench.plan.taking_part import refuse_impossible, taking_part
from m2bench.records.rules import NamedLayers, Rules

ABCD = ("a", "b", "c", "d")


def test_rules_about_layers_that_do_not_take_part_go_with_them() -> None:
    known = NamedLayers(ABCD, Rules(needs=(("b", "a"),), excludes=(("c", "d"),)))
    assert taking_part(known, None) == known
    assert taking_part(known, ("a", "c")) == NamedLayers(("a", "c"))
    assert taking_part(known, ("b", "a")) == NamedLayers(("a", "b"), Rules(needs=(("b", "a"),)))


@pytest.mark.parametrize(
    ("rules", "named", "message"),
    [
        (Rules(needs=(("b", "a"),)), ("b", "c"), "the layer b needs a, which does not take part. Add a to --layers"),
        (Rules(needs=(("a", "b"), ("b", "c"), ("c", "a"))), None, "the layers a, b, c need each other"),
        (Rules(needs=(("a", "a"),)), None, "the layer a needs itself"),
        (Rules(needs=(("a", "b"),), excludes=(("b", "a"),)), None, "the layer a can never be on: .* b and a are on"),
        (Rules(needs=(("c", "a"), ("c", "b")), excludes=(("a", "b"),)), None, "the layer c can never be on"),
        (Rules(excludes=(("a", "a"),)), None, "the layer a can never be on"),
        (Rules(needs=(("a", "x"),)), None, "needs or excludes 'x', and it has no such layer. There are: a, b, c, d"),
    ],
)
def test_contradictions_are_refused(rules: Rules, named: tuple[str, ...] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        taking_part(NamedLayers(ABCD, rules), named)


def test_any_number_of_layers_takes_part() -> None:
    names = tuple(f"layer{number}" for number in range(40))
    assert taking_part(NamedLayers(names), None).names == names


@pytest.mark.parametrize(
    ("combination", "message"),
    [(("b",), r"b cannot be: b needs a\. Add a"), (("c", "d"), r"c\+d cannot be: c and d exclude")],
)
def test_a_combination_that_cannot_be_is_refused(combination: tuple[str, ...], message: str) -> None:
    rules = Rules(needs=(("b", "a"),), excludes=(("c", "d"),))
    refuse_impossible(("a", "b", "c"), rules)
    with pytest.raises(UserError, match=message):
        refuse_impossible(combination, rules)

"""Leads and crossings of lines whose crossing is known, and the spread of what was timed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from matplotlib import pyplot
from torch import nn

from m2bench.baselines.environment import STATE_SIZE
from m2bench.inspect.forward_chart import mark_crossings, plot_line
from m2bench.inspect.pass_times import compare_variants, forward_table
from m2bench.records.inspected import PassTime
from m2bench.statistics.crossings import Comparison, Spread, SpreadBySize
from m2bench.systems.trading.forward import time_forward

SIZES = (1, 4, 16, 64, 256)


def cells(spread: float, **by_size: float) -> SpreadBySize:
    """Medians by batch size, written n1=..., n16=..., in groups that lie so far around them, as a share."""
    return {int(size[1:]): Spread(ms, ms * (1 - spread), ms * (1 + spread)) for size, ms in by_size.items()}


def power_law(power: float, factor: float, spread: float) -> SpreadBySize:
    return cells(spread, **{f"n{size}": factor * size**power for size in SIZES})


@pytest.mark.parametrize(("spread", "undecided", "crossing"), [(0.1, [], (16, 64)), (0.2, [16], (4, 64))])
def test_two_power_laws_cross_where_they_are_equal(
    spread: float, undecided: list[int], crossing: tuple[int, int]
) -> None:
    """At n = 20. At 16, a spread of 10 % ends at 17.6 and begins at 18; one of 20 % ends at 19.2 and begins at 16."""
    found = Comparison("flat", "linear", power_law(0, 20.0, spread), power_law(1, 1.0, spread))
    assert [size for size, lead in found.leads.items() if lead == "undecided"] == undecided
    assert [found.leads[size] for size in crossing] == ["slower", "faster"]
    assert found.crossings == [crossing]
    assert found.point(*crossing) == pytest.approx((20.0, 20.0))


def test_every_lead_and_every_change_of_it_is_told() -> None:
    """A lead at batch size 1 that is lost and won again, and spreads that overlap in between."""
    compiled = cells(0.1, n1=0.12, n4=0.40, n16=0.41, n64=0.9, n256=1.0, n1024=2.0)
    plain = cells(0.1, n1=0.16, n4=0.20, n16=0.30, n64=0.9, n256=2.0, n1024=8.0)
    found = Comparison("compiled", "eager", compiled, plain)
    assert found.crossings == [(1, 4), (16, 256)]
    assert found.sentence() == (
        "compiled against eager, by batch size: faster at 1, slower at 4 to 16 and faster at 256 to 1,024; "
        "the lead changes between 1 and 4 and between 16 and 256; undecided at 64, where the spreads overlap."
    )


@pytest.mark.parametrize(
    ("ms", "spread", "sentence"),
    [
        (0.5, 0.1, "a is faster than b at every batch size."),
        (2.0, 0.1, "a is slower than b at every batch size."),
        (1.0, 0.0, "a is at no batch size shown to be faster or slower than b: the spreads overlap."),
        (1.5, 0.4, "a is at no batch size shown to be faster or slower than b: the spreads overlap."),
    ],
)
def test_one_that_is_always_ahead_or_never_crosses_nowhere(ms: float, spread: float, sentence: str) -> None:
    found = Comparison("a", "b", power_law(1, ms, spread), power_law(1, 1.0, spread))
    assert (found.crossings, found.sentence()) == ([], sentence)


def test_batch_sizes_are_compared_from_the_smallest_on() -> None:
    found = Comparison("a", "b", cells(0, n64=2.0, n1=1.0), cells(0, n1=2.0, n64=1.0))
    assert found.crossings == [(1, 64)]


def test_each_variant_is_compared_with_plain_float32_and_each_device_with_the_cpu() -> None:
    """What cannot run is not compared."""

    def timed(compiled: bool, ms: float) -> list[PassTime]:
        variant: Any = {"precision": "float32", "compiled": compiled}
        return [PassTime(batch=size, **variant, **vars(cell)) for size, cell in power_law(0, ms, 0.1).items()]

    why_not = [PassTime(batch=size, precision="amp", compiled=False, reason="no autocast") for size in SIZES]
    found = {"cpu": [*timed(False, 1.0), *timed(True, 2.0), *why_not], "gpu": timed(False, 0.5)}
    assert [comparison.sentence() for comparison in compare_variants(found)] == [
        "float32, compiled on cpu is slower than float32, eager on cpu at every batch size.",
        "float32, eager on gpu is faster than float32, eager on cpu at every batch size.",
    ]


CELL = PassTime(batch=1, precision="float32", compiled=False, ms=2.0, ms_least=1.5, ms_most=4.0)


def test_the_table_shows_the_spread_of_every_figure() -> None:
    table = forward_table("cpu", [CELL, replace(CELL, batch=4, ms_most=20.0)])
    assert [row[1] for row in table.rows] == ["2.00 [1.50, 4.00]", "2.00 [1.50, 20.0]"]


def test_the_chart_has_bars_from_the_least_to_the_most() -> None:
    figure, axis = pyplot.subplots()
    plot_line(axis, "cpu", {1: Spread(2.0, 1.5, 4.0), 4: Spread(2.0, 1.5, 20.0)})
    plot_line(axis, "nothing was timed", {})
    drawn: Any
    (drawn,) = axis.containers
    bars = drawn.lines[2][0].get_segments()
    assert [[tuple(end) for end in bar] for bar in bars] == [[(1, 1.5), (1, 4.0)], [(4, 1.5), (4, 20.0)]]
    pyplot.close(figure)


def test_every_crossing_is_marked_in_the_chart_with_its_batch_sizes() -> None:
    figure, axis = pyplot.subplots()
    crossing = Comparison("flat", "linear", power_law(0, 20.0, 0.2), power_law(1, 1.0, 0.2))
    apart = Comparison("half", "linear", power_law(1, 0.5, 0.2), power_law(1, 1.0, 0.2))
    mark_crossings(axis, [crossing, apart])
    mark: Any
    (mark,) = axis.containers
    assert [tuple(point) for point in mark.lines[0].get_xydata()] == [pytest.approx((20.0, 20.0))]
    (bar,) = mark.lines[2][0].get_segments()
    assert [tuple(end) for end in bar] == [pytest.approx((4.0, 20.0)), pytest.approx((64.0, 20.0))]
    pyplot.close(figure)


def test_no_more_passes_are_timed_than_were_asked_for() -> None:
    policy = nn.Linear(STATE_SIZE, 3)
    timed = time_forward(policy, torch.device("cpu"), (1, 8), passes=17, backend="eager")
    assert {entry.passes for entry in timed} == {15}  # five groups of three, at each size

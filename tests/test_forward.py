"""Crossing points of lines whose crossing is known, and the spread of what was timed."""

from __future__ import annotations

import pytest
import torch
from matplotlib import pyplot
from torch import nn

from m2bench.baselines.environment import STATE_SIZE
from m2bench.forward_command import crossing, crossings, forward_table, plot_line
from m2bench.forward_passes import time_forward

SIZES = (1, 4, 16, 64, 256)


def line(power: float, factor: float) -> list[tuple[int, float]]:
    return [(size, factor * size**power) for size in SIZES]


def test_two_power_laws_cross_where_they_are_equal() -> None:
    # n = 20 at n = 20; and 2 n^0.5 = n at n = 4, which is one of the sizes.
    assert crossing(line(1, 1.0), line(0, 20.0)) == pytest.approx(20.0)
    assert crossing(line(1, 1.0), line(0.5, 2.0)) == pytest.approx(4.0)


def test_one_that_is_always_ahead_crosses_nowhere() -> None:
    assert crossing(line(1, 1.0), line(1, 0.5)) == 0
    assert crossing(line(1, 0.5), line(1, 1.0)) is None
    assert crossing(line(1, 1.0), line(1, 1.0)) is None


def test_only_the_crossing_after_which_it_stays_ahead_counts() -> None:
    slower = [(1, 1.0), (4, 1.0), (16, 1.0), (64, 1.0)]
    faster = [(1, 0.5), (4, 2.0), (16, 2.0), (64, 0.5)]
    assert crossing(slower, faster) == pytest.approx(32.0)  # halfway, on logarithms, between 16 and 64


def test_what_cannot_run_is_not_compared() -> None:
    def entries(compiled: bool, **cell: object) -> list[dict[str, object]]:
        return [{"batch": size, "precision": "float32", "compiled": compiled, **cell} for size in SIZES]

    found = {"cpu": [*entries(False, ms=1.0), *entries(True, reason="no compiler")]}
    assert crossings(found) == []
    found = {"cpu": entries(False, ms=1.0), "gpu": entries(False, ms=2.0)}
    assert crossings(found) == ["gpu is at no batch size faster than the cpu (float32, eager)."]
    found = {"cpu": entries(False, ms=1.0), "gpu": entries(False, ms=0.5)}
    assert crossings(found) == ["gpu is faster at every batch size than the cpu (float32, eager)."]


def test_a_lead_that_is_lost_is_said() -> None:
    """Ahead at first, behind from 32 on, which lies halfway on logarithms."""
    plain = [{"batch": size, "precision": "float32", "compiled": False, "ms": 1.0} for size in (1, 16, 64)]
    compiled = [
        {"batch": size, "precision": "float32", "compiled": True, "ms": ms}
        for size, ms in ((1, 0.5), (16, 0.5), (64, 2.0))
    ]
    (sentence,) = crossings({"cpu": [*plain, *compiled]})
    assert "is not faster from a batch size of about 32 on than" in sentence


CELL = {"precision": "float32", "compiled": False, "ms": 2.0, "ms_least": 1.5, "ms_most": 4.0}


def test_the_table_shows_the_spread_of_every_figure() -> None:
    table = forward_table("cpu", [{"batch": 1, **CELL}, {"batch": 4, **CELL, "ms_most": 20.0}])
    assert [row[1] for row in table.rows] == ["2.00 [1.50, 4.00]", "2.00 [1.50, 20.0]"]


def test_the_chart_has_bars_from_the_least_to_the_most() -> None:
    figure, axis = pyplot.subplots()
    plot_line(axis, "cpu", {1: CELL, 4: {**CELL, "ms_most": 20.0}})
    plot_line(axis, "nothing was timed", {})
    (drawn,) = axis.containers
    bars = drawn.lines[2][0].get_segments()
    assert [[tuple(end) for end in bar] for bar in bars] == [[(1, 1.5), (1, 4.0)], [(4, 1.5), (4, 20.0)]]
    pyplot.close(figure)


def test_no_more_passes_are_timed_than_were_asked_for() -> None:
    policy = nn.Linear(STATE_SIZE, 3)
    timed = time_forward(policy, torch.device("cpu"), (1, 8), passes=17, backend="eager")
    assert {entry["passes"] for entry in timed} == {15}  # five groups of three, at each size

"""Sentences of a profile carry the figures that were planted."""

from __future__ import annotations

from typing import Any

import pytest

from m2bench.explanation import explain, predictions


def side(layers: list[str], ms: float, dispatches: float, **changes: Any) -> dict[str, Any]:
    return {
        "layers": layers,
        "compiles": False,
        "undisturbed_ms": ms,
        "undisturbed_each_ms": [0.9 * ms, 1.1 * ms],
        "phases_ms": {"forward": 0.6 * ms, "backward": 0.3 * ms, "other": 0.1 * ms},
        "operators": {"aten::add": [900.0, 0.9], "aten::addmm": [10.0, 0.1]},
        "counts": {
            "per_episode": {"dispatches": dispatches, "flops": 5e6, "syncs": 0.0, "copies": 0.0, "doubles": 0.0},
            "lines": {"syncs": {}, "copies": {}, "doubles": {}},
        },
        "kernel_busy_ms": None,
        "launch_gap_ms": None,
        "watching_overhead": 0.02,
        "profiler_overhead": 1.5,
        **changes,
    }


def said(before: dict[str, Any], after: dict[str, Any], words: str) -> str:
    (sentence,) = [sentence for sentence in explain(before, after, 1e9) if words in sentence]
    return sentence


BEFORE, AFTER = side([], 100.0, 2000.0), side(["batching"], 10.0, 100.0)


def test_the_three_ratios_are_those_of_their_figures() -> None:
    assert predictions(BEFORE, AFTER) == pytest.approx({"measured": 10.0, "phases": 10.0, "dispatches": 20.0})


def test_the_change_is_stated_with_the_spread_of_processes() -> None:
    sentence = said(BEFORE, AFTER, "An episode takes")
    assert "100 ms with baseline and 10.0 ms with batching: 10.0x the speed" in sentence
    assert "2 processes each: 90.0 to 110 and 9.00 to 11.0" in sentence


def test_the_saved_time_is_divided_among_the_phases() -> None:
    sentence = said(BEFORE, AFTER, "saved lies in")
    assert "forward 60.0 -> 6.00 ms (60%), backward 30.0 -> 3.00 ms (30%), other 10.0 -> 1.00 ms (10%)" in sentence


def test_lost_time_is_called_lost() -> None:
    assert "forward 6.00 -> 60.0 ms (60%)" in said(AFTER, BEFORE, "The time lost lies in")


def test_shares_of_next_to_nothing_are_not_stated() -> None:
    """Two phases trade 10 ms; the whole changes by 1 %."""
    phases = {"forward": 50.0, "backward": 39.0, "other": 10.0}
    sentence = said(BEFORE, side([], 99.0, 2000.0, phases_ms=phases), "No phase stands for the change")
    assert "those that differ most: forward 60.0 -> 50.0 ms, backward 30.0 -> 39.0 ms." in sentence


def test_phases_that_contradict_the_measurement_explain_nothing() -> None:
    """Slower by a fifth as measured, faster by a fifth by its phases."""
    quiet = {"undisturbed_each_ms": [100.0, 101.0]}
    before = side([], 100.0, 2000.0, **quiet)
    after = side([], 120.0, 2000.0, undisturbed_each_ms=[120.0, 121.0],
                 phases_ms={"forward": 40.0, "backward": 30.0, "other": 10.0})  # fmt: skip
    assert "NOT explained by them, with a remainder of -33.3%" in said(before, after, "The phases add up to")
    assert not [sentence for sentence in explain(before, after, 1e9) if "lies in" in sentence]


def test_what_cutting_costs_hides_no_contradiction() -> None:
    """Three times slower, which the phases deny, where cutting takes longer than the episode itself."""
    before = side([], 10.0, 100.0, undisturbed_each_ms=[9.9, 10.1], watching_overhead=1.7)
    after = side(["dataloader"], 30.0, 100.0, undisturbed_each_ms=[29.7, 30.3], watching_overhead=1.7,
                 phases_ms={"forward": 9.0})  # fmt: skip
    assert "NOT explained by them" in said(before, after, "The phases add up to")


def test_lines_of_waits_are_told_of_both_sides() -> None:
    def waiting(lines: dict[str, float]) -> dict[str, Any]:
        per_episode = {"dispatches": 100.0, "flops": 5e6, "syncs": sum(lines.values()), "copies": 0.0, "doubles": 0.0}
        return {"counts": {"per_episode": per_episode, "lines": {"syncs": lines, "copies": {}, "doubles": {}}}}

    before = side([], 10.0, 100.0, **waiting({"a.py:1 x": 128.0, "b.py:2 y": 1.0, "c.py:3 z": 1.0, "d.py:4 w": 1.0}))
    after = side(["batching"], 5.0, 100.0, **waiting({"b.py:2 y": 0.5}))
    sentence = said(before, after, "Values that the host reads")
    assert "a.py:1 x (128 -> 0); b.py:2 y (1 -> 0.5); c.py:3 z (1 -> 0) and 1 more lines" in sentence


def test_a_change_within_the_scatter_is_not_called_explained() -> None:
    sentence = said(BEFORE, side([], 105.0, 2000.0), "The phases add up to")
    assert "within the scatter of these looks (22%)" in sentence
    assert "explained," not in sentence


def test_small_operators_are_those_under_10_us_on_average() -> None:
    """900 additions of 1 us each are 90 % of the operators' time; 10 products of 10 us are not small."""
    assert "90% of the operators' time with baseline, under torch.profiler, goes into 900 events" in said(
        BEFORE, AFTER, "less than 10 us"
    )


def test_dispatches_are_divided_and_each_takes_its_time() -> None:
    sentence = said(BEFORE, AFTER, "dispatches 2,000 operators")
    assert "batching divides that by 20.0 (100)" in sentence
    assert "50.0 us each before and 100 us after" in sentence
    assert "multiplies that by 20.0" in said(AFTER, BEFORE, "dispatches 100 operators")


def test_what_the_compiler_has_fused_is_said_to_be_missing() -> None:
    compiled = side(["compile"], 10.0, 100.0, compiles=True)
    assert "the compiler has fused is not among them" in said(BEFORE, compiled, "dispatches 2,000 operators")
    assert "compiler" not in " ".join(explain(BEFORE, AFTER, 1e9))


def test_launch_gaps_are_told_where_the_device_has_kernels() -> None:
    before = side([], 100.0, 2000.0, kernel_busy_ms=12.5, launch_gap_ms=80.0)
    after = side(["batching"], 10.0, 100.0, kernel_busy_ms=2.0, launch_gap_ms=7.0)
    sentence = said(before, after, "The device computes")
    assert "12.5 -> 2.00 ms" in sentence
    assert "80.0 -> 7.00 ms between kernels" in sentence
    assert "The device computes" not in " ".join(explain(BEFORE, AFTER, 1e9))


def test_arithmetic_is_a_share_of_the_peak() -> None:
    """5 MFLOP in 100 ms are 50 MFLOP/s, 5 % of 1 GFLOP/s; in 10 ms ten times that."""
    assert "at 5.0% -> 50.0% of" in said(BEFORE, AFTER, "Matrix products")


def test_lines_that_wait_are_named() -> None:
    counts = {
        "per_episode": {**BEFORE["counts"]["per_episode"], "syncs": 128.0},
        "lines": {**BEFORE["counts"]["lines"], "syncs": {"rollout.py:44 int(argmax)": 128.0}},
    }
    sentence = said(side([], 100.0, 2000.0, counts=counts), AFTER, "Values that the host reads")
    assert "128 per episode before, 0 after, at rollout.py:44 int(argmax) (128 -> 0)" in sentence


@pytest.mark.parametrize(("measured_ms", "verdict"), [(10.0, ": explained"), (20.0, "NOT explained")])
def test_what_the_phases_do_not_explain_is_printed(measured_ms: float, verdict: str) -> None:
    """Phases that add up to 10 ms beside an undisturbed episode of 20 ms leave half of the speed unexplained."""
    after = {**AFTER, "undisturbed_ms": measured_ms}
    sentence = said(BEFORE, after, "The phases add up to")
    assert verdict in sentence
    assert f"remainder of {10.0 / measured_ms - 1:+.1%}" in sentence

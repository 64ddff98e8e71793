"""Sentences of a profile carry the figures that were planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_profile import EPISODE, MACHINE, counts, side
from scipy import stats

from m2bench.inspect.explanation import explain
from m2bench.inspect.predictions import predictions
from m2bench.inspect.profile_records import ProfiledSide
from m2bench.records.description import Unit
from m2bench.records.figure import value_of

OPERATORS = {"aten::add": (900.0, 0.9), "aten::addmm": (10.0, 0.1)}


def said(before: ProfiledSide, after: ProfiledSide, words: str) -> str:
    (sentence,) = [sentence for sentence in explain(before, after, 1e9, EPISODE) if words in sentence]
    return sentence


BEFORE = side((), 100.0, counts=counts(2000.0), operators=OPERATORS)
AFTER = side(("batching",), 10.0, operators=OPERATORS)


def test_the_three_ratios_are_those_of_their_figures() -> None:
    found = predictions(BEFORE, AFTER)
    ratios = (found.measured.value, value_of(found.phases), value_of(found.remainder), found.dispatches)
    assert ratios == pytest.approx((10.0, 10.0, 1.0, 20.0))


def test_their_intervals_are_those_of_pairs_of_processes() -> None:
    """What slows both looks of a process slows neither the remainder nor its interval."""
    after = side(("batching",), 10.0, machine=(0.8, 1.0, 1.3, 1.1))
    found = predictions(BEFORE, after)
    logs = np.log([10 * a / b for a, b in zip(MACHINE, (0.8, 1.0, 1.3, 1.1), strict=True)])
    expected = np.exp(stats.ttest_1samp(logs, 0.0).confidence_interval(0.95))
    assert found.measured.value == pytest.approx(np.exp(logs.mean()))
    assert found.measured.interval == pytest.approx(tuple(expected))
    assert found.phases is not None
    assert found.phases.interval == pytest.approx(tuple(expected))
    assert found.remainder is not None
    assert found.remainder.interval == pytest.approx((1.0, 1.0))


def test_operators_that_other_processes_run_are_said_not_to_be_counted() -> None:
    waits = "enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__"
    loads = side(("workers",), 10.0, operators={**OPERATORS, waits: (1.0, 5.0)})
    assert "Those of data-loading processes are not counted." in said(BEFORE, loads, "dispatches 2,000 operators")
    assert "not counted" not in said(BEFORE, AFTER, "dispatches 2,000 operators")


def test_the_change_is_stated_with_the_spread_of_processes() -> None:
    sentence = said(BEFORE, AFTER, "One episode takes")
    assert "100 ms with baseline and 10.0 ms with batching: 10.0x [10.0, 10.0] the speed" in sentence
    assert "4 processes each: 80.0 to 125 and 8.00 to 12.5" in sentence


def test_the_saved_time_is_divided_among_the_phases() -> None:
    sentence = said(BEFORE, AFTER, "saved lies in")
    assert "forward 60.0 -> 6.00 ms (60%), backward 30.0 -> 3.00 ms (30%), other 10.0 -> 1.00 ms (10%)" in sentence


def test_lost_time_is_called_lost() -> None:
    assert "forward 6.00 -> 60.0 ms (60%)" in said(AFTER, BEFORE, "The time lost lies in")


def test_where_no_change_is_shown_no_phase_is_given_a_share_of_it() -> None:
    """Two phases trade 30 ms, the whole changes by 1 %, and the machine by more from process to process."""
    phases = {"forward": 30.0, "backward": 59.0, "other": 10.0}
    other = side((), 99.0, counts=counts(2000.0), machine=(1.0, 1.0, 0.9, 1.15), phases_ms=phases)
    sentence = said(BEFORE, other, "No phase stands for a change of the whole")
    assert sentence.endswith("; shown to differ are: forward 60.0 -> 30.0 ms, backward 30.0 -> 59.0 ms.")
    assert "No change of the time per episode is shown here (1.0" in said(BEFORE, other, "nothing to explain")


def test_scatter_is_blamed_on_no_phase() -> None:
    """One slow process of four makes a mean that is 14 % slower, most of it in the phase that takes most."""
    slow = side((), 114.0, counts=counts(2000.0), machine=(0.9, 1.1, 0.8, 2.0))
    sentences = " ".join(explain(BEFORE, slow, 1e9, EPISODE))
    assert "No phase stands for a change of the whole, and none is shown to differ." in sentences
    assert "lies in" not in sentences
    assert "nothing to explain" in sentences


def test_phases_that_contradict_the_measurement_explain_nothing() -> None:
    """Slower by a fifth as measured, faster by a fifth by its phases."""
    after = side((), 120.0, counts=counts(2000.0), phases_ms={"forward": 40.0, "backward": 30.0, "other": 10.0})
    sentence = said(BEFORE, after, "NOT explained by them")
    assert sentence.startswith(
        "The phases add up to 1.25x [1.25, 1.25] and 0.83x [0.83, 0.83] was measured: -122% of the change on the "
        "log scale, NOT explained by them; "
    )
    assert "the remainder is 0.67x" in sentence
    assert not [sentence for sentence in explain(BEFORE, after, 1e9, EPISODE) if "lies in" in sentence]


def test_what_cutting_costs_hides_no_contradiction() -> None:
    """Three times slower, which the phases deny, where cutting takes longer than the episode itself."""
    before = side((), 10.0, phases_ms={"forward": 27.0})
    after = side(("dataloader",), 30.0, phases_ms={"forward": 24.0})
    assert "NOT explained by them" in said(before, after, "was measured:")
    assert "add up to 2.70x [2.70, 2.70] and 0.80x [0.80, 0.80] of one episode that is timed as a whole" in said(
        before, after, "NOT within 2%"
    )


def test_phases_that_add_up_to_the_episode_are_said_to() -> None:
    assert "(before and after): within 2%." in said(BEFORE, AFTER, "of one episode that is timed as a whole")
    phases = {"forward": 10.3}
    assert "NOT within 2%" in said(BEFORE, side((), 10.0, phases_ms=phases), "of one episode that is timed as a whole")


def test_lines_of_waits_are_told_of_both_sides() -> None:
    many = {"a.py:1 x": 128.0, "b.py:2 y": 1.0, "c.py:3 z": 1.0, "d.py:4 w": 1.0}
    before = side((), 10.0, counts=counts(syncs=many))
    after = side(("batching",), 5.0, counts=counts(syncs={"b.py:2 y": 0.5}))
    sentence = said(before, after, "Values that the host reads")
    assert "a.py:1 x (128 -> 0); b.py:2 y (1 -> 0.5); c.py:3 z (1 -> 0) and 1 more line." in sentence


@pytest.mark.parametrize(("phases", "share", "verdict"), [(0.91, "100%", "explained"), (0.97, "32%", "NOT explained")])
def test_most_of_a_small_change_must_be_in_the_phases(phases: float, share: str, verdict: str) -> None:
    """Both come within 15 % of it, as a prediction of no change at all would."""
    after = side((), 91.0, counts=counts(2000.0), phases_ms={"forward": 100 * phases})
    assert f"1.10x [1.10, 1.10] was measured: {share} of the change on the log scale, {verdict}" in said(
        BEFORE, after, "was measured:"
    )


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
    compiled = side(("compile",), 10.0, compiles=True)
    assert "Operators that the compiler fused are not counted" in said(BEFORE, compiled, "dispatches 2,000 operators")
    assert "compiler" not in " ".join(explain(BEFORE, AFTER, 1e9, EPISODE))


def test_launch_gaps_are_told_where_the_device_has_kernels() -> None:
    before = side((), 100.0, counts=counts(2000.0), kernel_busy_ms=12.5, launch_gap_ms=80.0)
    after = side(("batching",), 10.0, kernel_busy_ms=2.0, launch_gap_ms=7.0)
    sentence = said(before, after, "The device computes")
    assert "12.5 -> 2.00 ms" in sentence
    assert "80.0 -> 7.00 ms between kernels" in sentence
    assert "The device computes" not in " ".join(explain(BEFORE, AFTER, 1e9, EPISODE))


def test_arithmetic_is_a_share_of_the_peak() -> None:
    """5 MFLOP in 100 ms are 50 MFLOP/s, 5 % of 1 GFLOP/s; in 10 ms ten times that."""
    assert "at 5.0% -> 50.0% of" in said(BEFORE, AFTER, "Matrix products")


def test_lines_that_wait_are_named() -> None:
    waits = counts(2000.0, syncs={"rollout.py:44 int(argmax)": 128.0})
    sentence = said(side((), 100.0, counts=waits), AFTER, "Values that the host reads")
    assert "128 per episode before, 0 after, at rollout.py:44 int(argmax) (128 -> 0)" in sentence


@pytest.mark.parametrize(
    ("measured_ms", "verdict"),
    [
        (10.0, "100% of the change on the log scale, explained"),
        (20.0, "143% of the change on the log scale, NOT explained"),
    ],
)
def test_what_the_phases_do_not_explain_is_printed(measured_ms: float, verdict: str) -> None:
    """Phases that add up to 10 ms beside an undisturbed episode of 20 ms leave half of the speed unexplained."""
    after = side(("batching",), measured_ms, phases_ms=dict(AFTER.phases_ms))
    sentence = said(BEFORE, after, "was measured:")
    assert f"was measured: {verdict}" in sentence
    assert f"the remainder is {10.0 / measured_ms:.2f}x" in sentence


def test_sentences_speak_of_the_units_of_the_system() -> None:
    waits = counts(syncs={"a.py:1 x": 1.0})
    after = replace(AFTER, counts=waits, kernel_busy_ms=1.0, launch_gap_ms=1.0)
    before = replace(BEFORE, kernel_busy_ms=1.0, launch_gap_ms=1.0)
    sentences = " ".join(explain(before, after, 1e9, Unit("step", "steps")))
    assert "One step takes 100 ms" in sentences
    assert "episode" not in sentences


def test_of_a_trainer_without_phases_it_is_said_that_there_are_none() -> None:
    """What does not come from phases is said as ever."""
    before, after = (replace(each, phases_ms={}, phases_each_ms=({},) * len(MACHINE)) for each in (BEFORE, AFTER))
    found = predictions(before, after)
    assert (found.phases, found.remainder) == (None, None)
    assert found.measured.value == pytest.approx(10.0)
    sentences = explain(before, after, 1e9, Unit("sample", "samples"))
    assert "One sample takes 100 ms with baseline and 10.0 ms with batching: 10.0x" in sentences[0]
    assert "The trainer reports no phases" in sentences[1]
    assert "The number of operators alone would give 20.0x: 130% of the change" in " ".join(sentences)
    assert "add up" not in " ".join(sentences)


def test_a_trainer_that_asks_nothing_of_torch_has_no_operators_to_divide_by() -> None:
    before, after = side((), 100.0, counts=counts(0.0)), side(("fast",), 10.0, counts=counts(0.0))
    assert predictions(before, after).dispatches is None
    assert said(before, after, "Operators dispatched").endswith("per episode: 0 before, 0 after.")
    assert "The number of operators alone" not in " ".join(explain(before, after, 1e9, EPISODE))

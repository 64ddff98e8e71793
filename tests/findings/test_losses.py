"""Planted changes of the computation are found by the first losses, and named; rounding is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import simulated_trainers as simulated
from simulated_trainers import Column, heeds_seed, ignores_seed, seeds_itself

from m2bench.findings.losses import CHECK, with_losses_compared
from m2bench.findings.responses import sound_trials
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.results import NumericsCheck
from m2bench.statistics.first_updates import FIRST_UPDATES, first_difference
from m2bench.store.stored_trial import StoredTrial

RUNS, BLOCKS = 40, 3


def checks(
    layers: Sequence[str], number: int = 0, column: Column = heeds_seed, tolerances: dict[str, float] | None = None
) -> dict[Layers, NumericsCheck]:
    made = simulated.record(layers, BLOCKS, number, tolerances)
    return of(with_losses_compared(made, simulated.trials(made, column)))


def of(trials: list[StoredTrial]) -> dict[Layers, NumericsCheck]:
    return {trial.spec.layers: trial.timed.numerics[CHECK] for trial in trials}


def rate(layer: str, same: bool | None, column: Column = heeds_seed) -> float:
    """In which share of many runs this is found of a layer."""
    return sum(checks([layer], number, column)[layer,].same is same for number in range(RUNS)) / RUNS


@pytest.mark.parametrize("layer", ["exact", "rounding"])
def test_what_computes_the_same_is_never_called_changed(layer: str) -> None:
    assert rate(layer, same=True) == 1


@pytest.mark.parametrize("layer", ["percent", "faster-rate", "half", "reshuffled"])
def test_one_percent_of_the_computation_is_found(layer: str) -> None:
    assert rate(layer, same=False) == 1


@pytest.mark.parametrize("layer", ["exact", "percent"])
def test_where_the_baseline_does_not_repeat_itself_no_layer_is_blamed(layer: str) -> None:
    assert rate(layer, same=None, column=ignores_seed) == 1
    found = checks([layer], column=ignores_seed)
    assert "the baseline does not repeat itself with equal seeds: update 1 has the loss" in (found[layer,].reason or "")
    assert found[BASELINE].same is None


def test_a_trainer_that_seeds_itself_repeats_itself() -> None:
    found = checks(["exact", "percent"], column=seeds_itself)
    assert (found["exact",].same, found["percent",].same) == (True, False)


def test_the_reason_says_which_update_and_both_losses() -> None:
    found = checks(["faster-rate"])["faster-rate",]
    plain, other = (simulated.losses(layer)[:BLOCKS, :6] for layer in (None, "faster-rate"))
    apart = abs(plain - other) > 3e-7 + 3e-5 * abs(plain).mean(axis=1, keepdims=True)
    block, update = min(((b, u) for b in range(BLOCKS) for u in range(6) if apart[b, u]), key=lambda at: at[1])
    assert (
        found.reason
        == f"update {update + 1} has the loss {other[block, update]:.6g} against {plain[block, update]:.6g}"
    )


def test_what_a_layer_declares_is_allowed_and_no_more() -> None:
    first = simulated.losses("percent")[:BLOCKS, :6], simulated.losses(None)[:BLOCKS, :6]
    apart = float((abs(first[0] - first[1]).max(axis=1) / abs(first[1]).mean(axis=1)).max())
    assert checks(["percent"], tolerances={"percent": 1.2 * apart})["percent",].same is True
    assert checks(["percent"], tolerances={"percent": 0.1 * apart})["percent",].same is False


def test_other_data_in_an_update_are_not_compared() -> None:
    found = checks(["wide"])["wide",]
    assert found.same is None
    assert found.reason == (
        "the first update processes 128 samples and the baseline's 32, so their losses are of different data"
    )


def test_a_larger_combination_names_the_smaller_one_that_has_changed() -> None:
    made = simulated.record(["exact", "percent"], BLOCKS)
    trials = simulated.trials(made)
    both = [
        replace(t, spec=replace(t.spec, key=f"{t.spec.key}+", layers=("exact", "percent")))
        for t in trials
        if t.spec.layers == ("percent",)
    ]
    found = of(with_losses_compared(made, [*both, *trials]))
    assert found["exact", "percent"].same is False
    assert (found["exact", "percent"].reason or "").endswith(" (changed with percent already)")
    assert "already" not in (found["percent",].reason or "")


def planted(
    made_trials: list[StoredTrial], layer: str, blocks: Sequence[int], update: int, times: float
) -> list[StoredTrial]:
    """The trials, with another loss of one update of a layer, in these blocks."""

    def other(trial: StoredTrial) -> StoredTrial:
        if trial.spec.layers != (layer,) or trial.spec.block not in blocks:
            return trial
        told = list(trial.timed.losses)
        told[update - 1] = (told[update - 1] or 0) * times
        return replace(trial, result=replace(trial.timed, losses=tuple(told)))

    return [other(trial) for trial in made_trials]


@pytest.mark.parametrize(("blocks", "same"), [((), True), ((2,), None), ((1, 3), False), ((1, 2, 3), False)])
def test_most_blocks_must_part_since_rounding_may_flip_a_draw(blocks: tuple[int, ...], same: bool | None) -> None:
    made = simulated.record(["exact"], BLOCKS)
    found = of(with_losses_compared(made, planted(simulated.trials(made), "exact", blocks, update=4, times=1.5)))[
        "exact",
    ]
    assert found.same is same
    assert (found.reason is None) == (same is True)
    if same is None:
        assert (found.reason or "").startswith("in 1 of 3 blocks update 4 has the loss")


def test_later_updates_may_part() -> None:
    made = simulated.record(["exact"], BLOCKS)
    late = planted(simulated.trials(made), "exact", (1, 2, 3), update=FIRST_UPDATES + 1, times=1.5)
    assert of(with_losses_compared(made, late))["exact",].same is True


def test_a_baseline_that_ran_once_with_each_seed_proves_equality_and_no_difference() -> None:
    made = simulated.record(["exact", "percent"], BLOCKS)
    trials = [trial for trial in simulated.trials(made) if not trial.spec.key.endswith("anchor1")]
    found = of(with_losses_compared(made, trials))
    assert (found["exact",].same, found["percent",].same) == (True, None)
    assert "whether it repeats itself is not known" in (found["percent",].reason or "")


def test_another_number_of_units_later_on_is_a_difference() -> None:
    """An environment whose episodes come out longer, say."""
    made = simulated.record(["exact"], BLOCKS)
    trials = [
        replace(t, result=replace(t.timed, update_units=(32.0, 32.0, 33.0, *t.timed.update_units[3:])))
        if t.spec.layers else t
        for t in simulated.trials(made)
    ]  # fmt: skip
    found = of(with_losses_compared(made, trials))["exact",]
    assert (found.same, found.reason) == (False, "update 3 processes 33 against 32")


def test_losses_that_are_rounding_tell_nothing() -> None:
    """A policy's loss with normalized advantages is zero before its first update."""
    made = simulated.record(["exact"], BLOCKS)
    trials = [
        replace(t, result=replace(t.timed, losses=(3e-9 if t.spec.layers else -2e-9,) * 8))
        for t in simulated.trials(made)
    ]
    assert of(with_losses_compared(made, trials))["exact",].reason == "the first losses are as small as rounding errors"


def test_losses_that_come_late_are_not_compared() -> None:
    """Rounding has grown until then."""
    made = simulated.record(["exact"], BLOCKS)
    trials = [
        replace(t, result=replace(t.timed, losses=(None,) * FIRST_UPDATES + t.timed.losses[FIRST_UPDATES:]))
        for t in simulated.trials(made)
    ]
    assert of(with_losses_compared(made, trials))["exact",].reason == "none of the first 6 updates reports a loss"


def test_a_system_that_tells_no_losses_is_left_alone() -> None:
    made = simulated.record(["exact"], BLOCKS)
    silent = [replace(t, result=replace(t.timed, losses=())) for t in simulated.trials(made)]
    assert with_losses_compared(made, silent) == silent
    some = [replace(t, result=replace(t.timed, losses=())) if t.spec.layers else t for t in simulated.trials(made)]
    assert of(with_losses_compared(made, some))["exact",].reason == "it reports no loss"


def test_what_has_changed_says_nothing_of_what_a_layer_is_worth() -> None:
    made = simulated.record(["exact", "percent", "wide"], BLOCKS)
    sound = {trial.spec.layers for trial in sound_trials(with_losses_compared(made, simulated.trials(made)))}
    assert sound == {(), ("exact",), ("wide",)}


def test_updates_that_told_nothing_are_passed_over() -> None:
    assert first_difference([None, 1.0, 2.0], [5.0, 1.0, 2.5], 0.1) == 3
    assert first_difference([1.0, None], [1.0], 0.1) is None
    assert first_difference([1.0, 2.0], [1.0, float("nan")], 0.1) == 2

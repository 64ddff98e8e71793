"""Planted learning comes back from the losses of the speed trials alone, and is not found where there is none."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import simulated_trainers as simulated
from simulated_trainers import LAYERS, Column, heeds_seed, ignores_seed, seeds_itself

from m2bench.findings.learning import Learning
from m2bench.findings.losses import with_losses_compared
from m2bench.findings.summarize_ablation import summarize
from m2bench.inspect.trials_behind import trace
from m2bench.plan.learners import make_cells
from m2bench.records.description import Target
from m2bench.records.results import CurvePoint, LearningResult
from m2bench.records.spec import TrialSpec
from m2bench.statistics.learning_curve import evaluation_episodes
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.summary.rows import LearningOfLayer

RUNS = 40


def learned(
    layers: Sequence[str], blocks: int = 3, number: int = 0, column: Column = heeds_seed
) -> dict[str, LearningOfLayer]:
    made = simulated.record(layers, blocks, number)
    learning = Learning(made, with_losses_compared(made, simulated.trials(made, column)))
    return {layer: learning.of_layer(layer) for layer in layers}


def verdicts(layer: str, blocks: int = 3, column: Column = heeds_seed) -> Counter[str]:
    """How often each verdict is given on a layer, in many runs of three layers."""
    others = [name for name in ("exact", "rounding", "reshuffled") if name != layer][:2]
    return Counter(learned([layer, *others], blocks, number, column)[layer].learning for number in range(RUNS))


@pytest.mark.parametrize("layer", ["exact", "rounding"])
def test_what_computes_the_same_learns_the_same(layer: str) -> None:
    assert verdicts(layer)["same"] == RUNS


@pytest.mark.parametrize(("layer", "blocks", "least"), [("half", 3, 0.95), ("wide", 3, 0.95), ("wide", 2, 0.3)])
def test_half_as_much_from_a_sample_is_found(layer: str, blocks: int, least: float) -> None:
    found = verdicts(layer, blocks)
    assert found["changed"] >= least * RUNS
    assert found["same"] == 0


@pytest.mark.parametrize("blocks", [2, 3])
@pytest.mark.parametrize("column", [heeds_seed, ignores_seed])
def test_other_data_of_the_same_kind_are_no_other_learning(blocks: int, column: Column) -> None:
    """At most the 5 % that are shared among all layers."""
    assert verdicts("reshuffled", blocks, column)["changed"] <= 0.05 * RUNS


@pytest.mark.parametrize("layer", ["half", "wide"])
def test_how_many_times_the_samples_it_needs_comes_back_with_its_interval(layer: str) -> None:
    needed = [learned([layer], number=number)[layer].episodes_needed for number in range(RUNS)]
    assert all(figure is not None and figure.interval is not None for figure in needed)
    all_runs = math.exp(sum(math.log(figure.value) for figure in needed if figure) / RUNS)
    assert all_runs == pytest.approx(LAYERS[layer].samples, rel=0.03), "planted is the factor of small rates"
    within = sum(f.interval[0] <= all_runs <= f.interval[1] for f in needed if f and f.interval)
    assert within >= 0.85 * RUNS  # 95 % are meant


def test_one_block_decides_nothing() -> None:
    found = learned(["exact", "half"], blocks=1)
    assert {verdict.learning for verdict in found.values()} == {"undecided"}
    assert found["half"].learning_reason == "1 seed compared, at least two are needed"


def test_blocks_of_a_trainer_that_takes_no_seed_are_one_observation() -> None:
    assert learned(["half"], column=seeds_itself)["half"].learning_reason == "1 seed compared, at least two are needed"


def with_losses(trials: list[StoredTrial], other: Callable[[Sequence[float | None]], list[float]]) -> list[StoredTrial]:
    return [replace(t, result=replace(t.timed, losses=tuple(other(t.timed.losses)))) for t in trials]


def test_a_loss_that_does_not_fall_tells_nothing() -> None:
    """What is left of it at the end, over and over."""
    made = simulated.record(["half"], 3)
    flat = with_losses(simulated.trials(made), lambda losses: [x or 0.0 for x in losses[-20:]] * 6)
    found = Learning(made, flat).of_layer("half")
    assert (found.learning, found.learning_reason) == (
        "undecided",
        "the loss is not shown to fall in trials this short",
    )


def test_without_losses_learning_is_not_told() -> None:
    made = simulated.record(["half"], 3)
    silent = with_losses(simulated.trials(made), lambda losses: [])
    assert Learning(made, silent).of_layer("half").learning == "not told"


def test_a_return_that_rises_is_judged_as_a_loss_that_falls() -> None:
    made = simulated.record(["half", "exact"], 3)
    trials = [
        replace(t, result=replace(t.timed, losses=(), training_return=tuple(-(x or 0) for x in t.timed.losses)))
        for t in simulated.trials(made)
    ]
    by_return, by_loss = Learning(made, trials).of_layer("half"), learned(["half", "exact"])["half"]
    assert by_return.learning == by_loss.learning == "changed"
    assert by_return.learning_effect == by_loss.learning_effect
    assert by_return.episodes_needed == by_loss.episodes_needed


def test_the_summary_weighs_speed_and_learning() -> None:
    """Three times the speed and twice the samples: half as soon again; once and a half the speed: later."""
    made = simulated.record(["exact", "wide", "half"], 5)
    summary = summarize("run", made, simulated.trials(made))
    rows = {row.name: row for row in summary.layers}
    assert summary.learning.told == "loss"
    wide, half = rows["wide"].time_to_target, rows["half"].learning
    assert wide is not None
    assert wide.value == pytest.approx(1.5, rel=0.1)
    assert wide.shows_gain
    assert half.learning == "changed"
    assert half.learning_reason == "learns less from the same samples"
    recommended = summary.recommended
    assert recommended is not None
    assert recommended.layers == ("exact",)


def test_the_trace_of_learning_without_learning_trials_is_what_was_told_by_seed() -> None:
    """Wide needs twice the samples for the same loss, with every seed."""
    made = simulated.record(["exact", "wide"], 5)
    exact, wide = trace(made, simulated.trials(made), "learning")
    assert wide.columns == ("seed", "difference of mean loss so far", "ratio of samples for the same mean loss")
    assert len(exact.rows) == len(wide.rows) == 5
    assert [float(row[2].rstrip("x")) for row in wide.rows] == pytest.approx([2.0] * 5, rel=0.15)


def test_learning_that_was_switched_off_is_not_told() -> None:
    made = simulated.record(["half"], 3)
    off = replace(made, spec=replace(made.spec, learning="off"))
    assert Learning(off, simulated.trials(made)).of_layer("half").learning == "not told"


def targeted(
    layers: Sequence[str], arrivals: dict[str, float | None], rounds: int
) -> tuple[RunRecord, list[StoredTrial]]:
    """A run with a target loss: its speed trials, and learning trials that arrive after so many samples, or never."""
    made = simulated.record(layers, 3)
    target = Target(measure="loss", value=0.5, first_units=32)
    workload = replace(made.description.workload, target=target)
    made = replace(made, description=replace(made.description, workload=workload))
    trials = simulated.trials(made)
    for seed in range(rounds):
        for name, arrives in arrivals.items():
            curve = tuple(
                CurvePoint(after, after, 0.0, 0.5 + 1.5 * (1 - after / (arrives or 1e6)))
                for after in itertools.takewhile(lambda after: after < 4000, evaluation_episodes(32))
            )
            learned = LearningResult(curve=curve, episodes_per_update=32, episodes_to_target=arrives, proofs={})
            spec = TrialSpec(f"learn{seed}.{name}", () if name == "baseline" else (name,), seed, seed, "learning", 1.0)
            trials.append(StoredTrial(spec, "", 1.0, "ok", None, None, learned))
    return made, trials


def test_learning_trials_with_two_seeds_decide_and_the_told_losses_do_not() -> None:
    """By the learning trials the layer needs three times the samples, by the losses just as many: which is planted."""
    made, trials = targeted(["exact"], {"baseline": 1000.0, "exact": 3000.0}, rounds=3)
    learning = Learning(made, trials)
    found = learning.of_layer("exact")
    assert learning.summary().told is None
    assert (found.learning, found.learning_reason) == ("changed", "learns less from the same samples")
    assert found.learning_effect is not None
    assert found.learning_effect.value < 0, "a loss that stays higher is less learned"
    assert found.episodes_needed is not None
    assert found.episodes_needed.value == pytest.approx(3.0)


def test_where_no_two_seeds_have_learning_trials_the_told_losses_decide() -> None:
    made, trials = targeted(["half", "exact"], {"baseline": None, "half": None, "exact": None}, rounds=1)
    learning = Learning(made, trials)
    assert learning.summary().told == "loss"
    assert learning.of_layer("half").learning == "changed"
    assert learning.of_layer("exact").learning == "same"
    assert learning.of_combination(("half",), None).time_to_target_s is None


def test_units_that_vary_are_no_other_updates() -> None:
    """Episodes of an environment, say, a tenth longer with the layer; four times as many are others."""
    made = simulated.record(["exact", "half"], 3)

    def episodes(trial: StoredTrial) -> StoredTrial:
        times = {(): 1.0, ("exact",): 1.1, ("half",): 4.0}[trial.spec.layers]
        units = tuple(times * n for n in itertools.islice(itertools.cycle((17.0, 20.0, 25.0, 31.0)), 100))
        return replace(trial, result=replace(trial.timed, update_units=units))

    cells = make_cells((), [episodes(trial) for trial in simulated.trials(made)])
    assert cells.episodes_per_update[("exact",)] == cells.episodes_per_update[()] == 22.5
    assert cells.episodes_per_update[("half",)] == 90
    fixed = make_cells((), simulated.trials(simulated.record(["exact", "wide"], 3)))
    assert fixed.episodes_per_update == {(): 32, ("exact",): 32, ("wide",): 128}

"""The plan is data: complete, balanced, and the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from every import every_combination

from m2bench.errors import UserError
from m2bench.options.run_options import DEFAULT_DESIGN
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import (
    choose_combinations,
    count_trials,
    fewest_blocks,
    make_trials,
    mini_blocks,
    shares_of,
)
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.documents import read, to_json
from m2bench.records.spec import TrialSpec
from m2bench.statistics.effects import Effects
from m2bench.statistics.factorial import Observation

SIX = ("a", "b", "c", "d", "e", "f")


def signs(chosen: list[Layers], layers: Layers) -> np.ndarray:
    return np.array([[1 if layer in combination else -1 for layer in layers] for combination in chosen])


def test_all_is_every_subset_once() -> None:
    chosen = every_combination(SIX)
    assert len(chosen) == 64
    assert len({frozenset(c) for c in chosen}) == 64
    assert chosen[0] == BASELINE
    assert chosen[-1] == SIX


def test_the_default_design_has_each_alone_each_left_out_and_the_stack() -> None:
    chosen = choose_combinations(SIX, DEFAULT_DESIGN)
    sizes = [len(c) for c in chosen]
    assert 14 <= len(chosen) <= 18
    assert sizes.count(1) == 6
    assert sizes.count(5) == 6
    assert sizes.count(0) == sizes.count(6) == 1
    for size in range(1, 7):
        assert SIX[:size] in chosen


@pytest.mark.parametrize(("design", "size"), [("half", 32), ("quarter", 16)])
def test_fractions_hold_the_baseline_and_keep_main_effects_clear(design: str, size: int) -> None:
    chosen = choose_combinations(SIX, [design])
    assert len(chosen) == size
    assert BASELINE in chosen
    table = signs(chosen, SIX)
    assert (table.T @ table == size * np.eye(6)).all()
    pairs = np.array([table[:, i] * table[:, j] for i, j in combinations(range(6), 2)])
    # Resolution IV or better: no main effect is mixed up with a two-way effect.
    assert not (table.T @ pairs.T).any()
    if design == "half":  # resolution VI: two-way effects are clear of one another as well
        assert (pairs @ pairs.T == size * np.eye(15)).all()


@pytest.mark.parametrize("count", [3, 4, 5])
def test_smaller_halves_hold_the_baseline(count: int) -> None:
    chosen = choose_combinations(SIX[:count], ["half"])
    assert len(chosen) == 2 ** (count - 1)
    assert BASELINE in chosen


def test_a_fraction_that_is_not_defined_is_refused() -> None:
    with pytest.raises(UserError, match="quarter is defined for 5 or 6 layers, and 3 take part"):
        choose_combinations(SIX[:3], ["quarter"])


def spec(blocks: int = 3, seed: int = 0) -> RunSpec:
    return RunSpec(layers=SIX, design=("full",), blocks=blocks, seed=seed)


def test_a_block_holds_every_combination_once_and_an_anchor_around_every_mini_block() -> None:
    trials = make_trials(spec())
    assert len(trials) == 3 * (63 + 9)
    assert len({trial.key for trial in trials}) == len(trials)
    for block in (1, 2, 3):
        inside = [trial for trial in trials if trial.block == block]
        assert sorted(t.layers for t in inside if t.layers) == sorted(c for c in every_combination(SIX) if c)
        assert len({trial.seed for trial in inside}) == 1
        anchors = [index for index, trial in enumerate(inside) if trial.layers == BASELINE]
        assert (anchors[0], anchors[-1], len(anchors)) == (0, len(inside) - 1, 9)
        assert all(7 <= after - before - 1 <= 8 for before, after in pairwise(anchors))


def test_the_first_trial_of_every_combination_counts_and_no_other() -> None:
    counting = [trial for trial in make_trials(spec()) if trial.counts]
    assert sorted(trial.layers for trial in counting) == sorted(every_combination(SIX))
    assert {trial.block for trial in counting} == {1}


def members(trials: list[TrialSpec], number: int) -> set[Layers]:
    return {trial.layers for trial in trials if number in trial.mini_blocks}


def test_mini_blocks_are_numbered_and_anchors_lie_in_both_neighbours() -> None:
    trials = make_trials(spec())
    numbers = sorted({number for trial in trials for number in trial.mini_blocks})
    assert numbers == list(range(1, 25))
    assert all(len(trial.mini_blocks) == 1 for trial in trials if trial.layers)
    for number in numbers:
        # Both anchors, and one combination of eight is the baseline itself.
        assert sum(number in trial.mini_blocks for trial in trials) in (2 + 7, 2 + 8)
        positions = [index for index, trial in enumerate(trials) if number in trial.mini_blocks]
        assert positions == list(range(positions[0], positions[-1] + 1))


@pytest.mark.parametrize("count", [4, 5, 6])
def test_no_main_or_two_way_effect_is_confounded_with_the_mini_blocks(count: int) -> None:
    layers = SIX[:count]
    rng = random.Random(count)
    parts = mini_blocks(layers, every_combination(layers), rng)
    assert sorted(len(part) for part in parts) == [8] * 2 ** (count - 3)
    for part in parts:
        for layer in layers:
            assert sum(layer in combination for combination in part) == 4
        for one, other in combinations(layers, 2):
            assert sum((one in c) == (other in c) for c in part) == 4


def test_every_block_confounds_other_interactions() -> None:
    trials = make_trials(spec())
    partitions = [{frozenset(members(trials, n) - {BASELINE}) for n in range(first, first + 8)} for first in (1, 9, 17)]
    assert not partitions[0] & partitions[1]
    assert not partitions[1] & partitions[2]


@pytest.mark.parametrize("design", ["single", "stack", "half", "leave-one-out"])
def test_other_designs_have_one_mini_block_per_block(design: str) -> None:
    trials = make_trials(RunSpec(SIX, (design,), 2, 0))
    for block in (1, 2):
        inside = [trial for trial in trials if trial.block == block]
        assert {trial.mini_blocks for trial in inside} == {(block,)}
        assert [trial.layers for trial in inside].count(BASELINE) == 2


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("design", [("full",), DEFAULT_DESIGN, ("single",)])
def test_trials_are_counted_without_being_made(count: int, design: tuple[str, ...]) -> None:
    for seed in range(3):
        plan = RunSpec(SIX[:count], design, 4, seed)
        assert count_trials(plan) == len(make_trials(plan))


def test_the_order_is_random_but_the_seeds() -> None:
    one, same, other = make_trials(spec()), make_trials(spec()), make_trials(spec(seed=1))
    assert one == same
    assert [t.layers for t in one] != [t.layers for t in other]
    assert [t.layers for t in one[:72]] != [t.layers for t in one[72:144]]


def test_keys_come_from_contents_so_that_more_blocks_rename_nothing() -> None:
    assert [t.key for t in make_trials(spec(blocks=2))] == [t.key for t in make_trials(spec(blocks=3))][:144]


def test_a_run_survives_its_way_through_json() -> None:
    assert read(RunSpec, to_json(spec())) == spec()


@pytest.mark.parametrize(
    ("layers", "design", "blocks"),
    [(1, "full", 5), (2, "full", 3), (3, "full", 2), (6, "full", 1), (6, "half", 1), (6, "single", 2)],
)
def test_the_fewest_blocks_are_those_with_which_trials_tell_how_much_they_scatter(
    layers: int, design: str, blocks: int
) -> None:
    spec = RunSpec(tuple("abcdef"[:layers]), (design,), 1, 0)
    assert fewest_blocks(spec) == blocks

    def told(blocks: int) -> bool:
        rng = random.Random(0)
        trials = make_trials(replace(spec, blocks=blocks))
        observations = [Observation(t.key, t.layers, t.mini_blocks, rng.uniform(1, 2)) for t in trials]
        return Effects(spec.layers, observations).scatter is not None

    assert told(blocks)
    assert blocks == 1 or not told(blocks - 1)


def test_mini_blocks_that_are_apart_have_their_own_anchors_and_the_same_combinations() -> None:
    together = RunSpec(SIX, ("full",), 2, seed=3)
    apart = replace(together, mini_blocks_apart=True)
    shares = shares_of(apart)
    assert len(shares) == 16
    for share in shares.values():
        assert [trial.layers for trial in (share[0], share[-1])] == [BASELINE, BASELINE]
        assert {trial.mini_blocks for trial in share} == {share[0].mini_blocks}
        assert len({trial.block for trial in share}) == 1

    def measured(spec: RunSpec) -> list[TrialSpec]:
        return [trial for trial in make_trials(spec) if trial.layers != BASELINE]

    assert measured(apart) == measured(together)
    keys = [trial.key for trial in make_trials(apart)]
    assert len(set(keys)) == len(keys) == count_trials(apart) == 2 * (63 + 16)
    counted = [trial.layers for trial in make_trials(apart) if trial.counts]
    assert sorted(counted) == sorted(every_combination(SIX))

"""The plan is data: complete, balanced, and the same for the same seed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from m2bench.errors import UserError
from m2bench.plan import DEFAULT_DESIGN, choose_combinations, every_combination, make_trials
from m2bench.spec import BASELINE, Layers, RunSpec

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


def test_a_block_holds_every_combination_once_between_two_baselines() -> None:
    trials = make_trials(spec())
    assert len(trials) == 3 * 65
    assert len({trial.key for trial in trials}) == len(trials)
    for block in (1, 2, 3):
        inside = [trial for trial in trials if trial.block == block]
        assert inside[0].layers == inside[-1].layers == BASELINE
        assert sorted(t.layers for t in inside[1:-1]) == sorted(c for c in every_combination(SIX) if c)
        assert len({trial.seed for trial in inside}) == 1


def test_the_order_is_random_but_the_seeds() -> None:
    one, same, other = make_trials(spec()), make_trials(spec()), make_trials(spec(seed=1))
    assert one == same
    assert [t.layers for t in one] != [t.layers for t in other]
    assert [t.layers for t in one[:65]] != [t.layers for t in one[65:130]]


def test_keys_come_from_contents_so_that_more_blocks_rename_nothing() -> None:
    assert [t.key for t in make_trials(spec(blocks=2))] == [t.key for t in make_trials(spec(blocks=3))][:130]


def test_a_run_survives_its_way_through_json() -> None:
    assert RunSpec.from_json(spec().to_json()) == spec()

"""Fractions for any number of layers, and designs of layers that need or exclude each other."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from planted_runs import CHAIN, allowed

from m2bench.errors import UserError
from m2bench.options.run_options import DEFAULT_DESIGN
from m2bench.options.run_spec import RunSpec
from m2bench.plan.budget import Cost, designs_to_try, fit_budget
from m2bench.plan.designs import (
    ALL_BUT_FULL,
    FRACTION_GENERATORS,
    block_trials,
    choose_combinations,
    combinations_of,
    count_trials,
    design_of_all,
    fewest_blocks,
    fraction_sentence,
    make_trials,
)
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.documents import read, to_json
from m2bench.records.rules import NO_RULES, Rules

TWELVE, THIRTEEN = tuple("abcdefghijkl"), tuple("abcdefghijklm")
# How many combinations, and the resolution by Box, Hunter & Hunter.
FRACTIONS = {
    5: (16, 5),
    6: (32, 6),
    7: (64, 7),
    8: (64, 5),
    9: (128, 6),
    10: (128, 5),
    11: (128, 5),
    12: (256, 6),
    13: (256, 5),
}


def signs(chosen: list[Layers], layers: Layers) -> np.ndarray:
    return np.array([[1 if layer in combination else -1 for layer in layers] for combination in chosen])


@pytest.mark.parametrize("count", FRACTIONS)
def test_the_shortest_word_of_the_defining_relation_is_the_resolution(count: int) -> None:
    """Every product of generators, with the layer that each decides, is a word."""
    generators = [set(word.lstrip("-")) for word in FRACTION_GENERATORS[count].split()]
    deciding = [(THIRTEEN[place], word) for place, word in enumerate(generators) if len(word) > 1]
    words = []
    for number in range(1, len(deciding) + 1):
        for some in combinations(deciding, number):
            product: set[str] = set()
            for layer, word in some:
                product ^= word | {layer}
            words.append(product)
    assert min(map(len, words)) == FRACTIONS[count][1]


@pytest.mark.parametrize("count", FRACTIONS)
def test_in_a_fraction_layers_and_pairs_are_all_told_apart(count: int) -> None:
    layers, (size, _) = THIRTEEN[:count], FRACTIONS[count]
    chosen = choose_combinations(layers, ("fraction",))
    assert len(chosen) == len(set(chosen)) == size
    assert BASELINE in chosen
    table = signs(chosen, layers)
    columns = np.column_stack(
        [np.ones(size), table, *(table[:, i] * table[:, j] for i, j in combinations(range(count), 2))]
    )
    assert (columns.T @ columns == size * np.eye(columns.shape[1])).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_fraction_of_few_layers_is_all_of_them(count: int) -> None:
    layers = TWELVE[:count]
    assert choose_combinations(layers, ("fraction",)) == choose_combinations(layers, ("full",))


@pytest.mark.parametrize("design", ["single", "leave-one-out", "stack", "fraction", "full"])
@pytest.mark.parametrize("count", [1, 2])
def test_one_layer_or_two_have_every_design(design: str, count: int) -> None:
    spec = RunSpec(TWELVE[:count], (design,), 2, 0)
    assert {x for trial in make_trials(spec) for x in trial.layers} == {*TWELVE[:count]}
    assert fewest_blocks(spec) >= 1


@pytest.mark.parametrize(("count", "design"), [(6, ("full",)), (7, ("full",)), (8, ALL_BUT_FULL), (12, ALL_BUT_FULL)])
def test_all_is_every_combination_as_long_as_those_are_few(count: int, design: tuple[str, ...]) -> None:
    layers = TWELVE[:count]
    assert design_of_all(layers, NO_RULES) == design
    sentence = fraction_sentence(RunSpec(layers, design, 3, 0))
    assert (sentence is None) == (design == ("full",))
    chosen = choose_combinations(layers, design)
    assert {(), layers, *((layer,) for layer in layers)} <= set(chosen)


def test_a_full_design_of_too_many_is_refused_with_what_to_use() -> None:
    with pytest.raises(UserError, match=r"4,096 combinations of 12 layers, and 128 are the most\..*fraction"):
        choose_combinations(TWELVE, ("full",))


# Layers that need or exclude each other.


@pytest.mark.parametrize("design", [("full",), DEFAULT_DESIGN, ("fraction",), ALL_BUT_FULL])
@pytest.mark.parametrize("count", [3, 5, 6])
def test_no_design_has_a_combination_that_cannot_be(count: int, design: tuple[str, ...]) -> None:
    rules = CHAIN.among(TWELVE[:count])
    chosen = choose_combinations(TWELVE[:count], design, rules)
    assert all(allowed(rules, combination) for combination in chosen)
    assert len(set(chosen)) == len(chosen)
    assert {layer for combination in chosen for layer in combination} == {*TWELVE[:count]}


def test_alone_is_with_what_a_layer_needs_and_left_out_with_what_needs_it() -> None:
    layers = TWELVE[:5]
    assert set(choose_combinations(layers, ("single",), CHAIN)) == {
        (), ("a",), ("a", "b"), ("a", "b", "c"), ("d",), ("e",)}  # fmt: skip
    assert set(choose_combinations(layers, ("leave-one-out",), CHAIN)) == {
        (), ("a", "b", "c", "d"),
        ("d",), ("a", "d"),  # a is the last one only without b and c, which need it
        ("a", "b", "d"),  # and b without c
        ("a", "b", "c"),  # without d; and without e, which stands in its place
        ("a", "b", "c", "e"),
    }  # fmt: skip
    assert choose_combinations(layers, ("stack",), CHAIN) == [
        (),
        ("a",),
        ("a", "b"),
        ("a", "b", "c"),
        ("a", "b", "c", "d"),
    ]


def test_everything_that_can_be_is_in_a_full_design() -> None:
    layers = TWELVE[:5]
    every = [c for size in range(6) for c in combinations(layers, size) if allowed(CHAIN, c)]
    assert choose_combinations(layers, ("full",), CHAIN) == every
    assert len(every) == 4 * 3, "none to three of the chain; neither, one or the other of d and e"


@pytest.mark.parametrize("count", [8, 10, 12])
def test_an_optimal_fraction_tells_pairs_apart_nearly_as_well_as_all_that_can_be(count: int) -> None:
    """By the variance of main effects and interactions, over that of as many trials spread over all combinations."""
    layers = TWELVE[:count]
    meeting = [pair for pair in combinations(layers, 2) if CHAIN.can_meet(pair)]

    def variances(chosen: list[Layers]) -> np.ndarray:
        table = signs(chosen, layers)
        at = layers.index
        columns = np.column_stack(
            [np.ones(len(chosen)), table, *(table[:, at(a)] * table[:, at(b)] for a, b in meeting)]
        )
        information = columns.T @ columns / len(chosen)
        assert np.linalg.matrix_rank(information) == columns.shape[1]
        return np.diag(np.linalg.inv(information))

    chosen = choose_combinations(layers, ("fraction",), CHAIN)
    assert len(chosen) <= FRACTIONS[count][0]
    ratio = variances(chosen) / variances(CHAIN.allowed(layers))
    assert np.median(ratio) < 1.1
    assert ratio.max() < 1.6


@pytest.mark.parametrize("design", ["half", "quarter"])
def test_fractions_with_holes_are_refused(design: str) -> None:
    with pytest.raises(UserError, match=r"is not defined for layers that need or exclude each other\. Use fraction"):
        choose_combinations(TWELVE[:5], (design,), CHAIN)


# Blocks.


@pytest.mark.parametrize(("count", "rules"), [(7, NO_RULES), (8, NO_RULES), (12, NO_RULES), (12, CHAIN), (6, CHAIN)])
def test_no_more_than_sixteen_trials_lie_between_two_baselines(count: int, rules: Rules) -> None:
    layers = TWELVE[:count]
    spec = RunSpec(layers, design_of_all(layers, rules), 2, 0, rules=rules)
    for block in (1, 2):
        trials = block_trials(spec, block)
        assert sorted(t.layers for t in trials if t.layers) == sorted(c for c in combinations_of(spec) if c)
        anchors = [place for place, trial in enumerate(trials) if not trial.layers]
        assert (anchors[0], anchors[-1]) == (0, len(trials) - 1)
        assert all(after - before <= 17 for before, after in pairwise(anchors))


@pytest.mark.parametrize(("count", "rules"), [(8, NO_RULES), (12, NO_RULES), (12, CHAIN)])
def test_mini_blocks_cost_little_of_what_trials_tell(count: int, rules: Rules) -> None:
    """The variance of main effects with a level for each mini-block, over that without."""
    layers = TWELVE[:count]
    trials = make_trials(RunSpec(layers, ("fraction",), 2, 0, rules=rules))
    table = signs([t.layers for t in trials], layers)
    pairs = [(i, j) for i, j in combinations(range(count), 2) if rules.can_meet((layers[i], layers[j]))]
    terms = np.column_stack([np.ones(len(trials)), table, *(table[:, i] * table[:, j] for i, j in pairs)])
    numbers = sorted({number for trial in trials for number in trial.mini_blocks})
    levels = np.array([[t.mini_blocks.count(n) / len(t.mini_blocks) for n in numbers[1:]] for t in trials])
    with_levels = np.column_stack([terms, levels])
    plain, blocked = (np.diag(np.linalg.inv(design.T @ design))[1 : count + 1] for design in (terms, with_levels))
    assert (blocked / plain).max() < 1.35


# Budgets.


@pytest.mark.parametrize("rules", [NO_RULES, CHAIN])
@pytest.mark.parametrize("count", [7, 8, 12])
def test_every_candidate_exists_and_takes_less_than_the_one_before(count: int, rules: Rules) -> None:
    layers = TWELVE[:count]
    sizes = [
        count_trials(RunSpec(layers, design, blocks, 0, rules=rules))
        for design, blocks in designs_to_try(layers, rules)
    ]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("budget_s", "design", "blocks"),
    [(2000, ALL_BUT_FULL, 3), (350, ALL_BUT_FULL, 1), (300, ("fraction",), 1), (60, DEFAULT_DESIGN, 1)],
)
def test_a_budget_chooses_among_fractions(budget_s: float, design: tuple[str, ...], blocks: int) -> None:
    """At a second a trial, of twelve layers: 256 combinations, each layer alone and left out, and anchors."""
    chosen, said = fit_budget(RunSpec(TWELVE, ("full",), 3, 0, learning="off"), budget_s, Cost(1.0, 0.0))
    assert (chosen.design, chosen.blocks) == (design, blocks)
    assert f"--design {','.join(design)}" in said


def test_the_rules_survive_json_and_a_run_without_them_looks_as_it_did() -> None:
    spec = RunSpec(TWELVE[:5], ("full",), 3, 0, rules=CHAIN)
    assert read(RunSpec, to_json(spec)) == spec
    assert "rules" not in to_json(RunSpec(TWELVE[:5], ("full",), 3, 0))


MANY = tuple(f"layer{number}" for number in range(40))
"""So many that their combinations cannot be gone through one by one."""


def test_designs_that_switch_one_layer_at_a_time_have_any_number_of_layers() -> None:
    assert choose_combinations(MANY, ("single",)) == [BASELINE, *((layer,) for layer in MANY)]
    chosen = choose_combinations(MANY, DEFAULT_DESIGN)
    # Each alone, all but each, and the stacks of 2 to 38 in between, the baseline, and all.
    assert len(chosen) == 40 + 40 + 37 + 2
    assert [*map(len, chosen)] == sorted(map(len, chosen))
    spec = RunSpec(MANY, DEFAULT_DESIGN, 3, 0)
    assert fraction_sentence(spec) is None
    assert count_trials(spec) >= 3 * (len(chosen) + 1)


@pytest.mark.parametrize("design", [("full",), ("fraction",), design_of_all(MANY, NO_RULES)])
def test_designs_that_tell_pairs_apart_have_thirteen_layers_at_most(design: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"single,leave-one-out,stack.*fewer"):
        choose_combinations(MANY, design)
    assert choose_combinations(THIRTEEN, design_of_all(THIRTEEN, NO_RULES))


def test_a_budget_of_many_layers_is_filled_by_designs_that_they_have() -> None:
    assert designs_to_try(MANY) == [*((DEFAULT_DESIGN, blocks) for blocks in (3, 2, 1)), (("single",), 1)]
    spec, _ = fit_budget(RunSpec(MANY, DEFAULT_DESIGN, 3, 0), 3600.0, Cost(trial_s=5.0, once_s=0.0))
    assert (spec.design, spec.blocks) == (DEFAULT_DESIGN, 3)


def test_alternatives_of_which_one_can_be_on_have_a_full_design_however_many_they_are() -> None:
    rules = Rules(excludes=tuple(combinations(MANY, 2)))
    assert choose_combinations(MANY, design_of_all(MANY, rules), rules) == [BASELINE, *((layer,) for layer in MANY)]

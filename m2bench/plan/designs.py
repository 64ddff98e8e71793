"""The plan: which combinations, in which order. Pure: nothing is run, nothing is read."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import accumulate, chain, combinations, count

from m2bench.errors import UserError
from m2bench.options.run_spec import RunSpec
from m2bench.records.combinations import BASELINE, Layers, combination_name, smallest_first
from m2bench.records.rules import NO_RULES, Rules
from m2bench.records.spec import TrialSpec
from m2bench.statistics.estimate import LEAST_DEGREES

from .factors_trials import factor_block
from .scale_trials import scale_block

MOST_IN_FULL = 128
"""Combinations of a full design; with more of them a fraction tells as much of what matters, in a part of the time."""


def _single(layers: Layers, rules: Rules) -> list[Layers]:
    return [combination for layer in layers for combination in rules.alone(layer, layers)]


def _leave_one_out(layers: Layers, rules: Rules) -> list[Layers]:
    return [rules.fullest(layers), *(combination for layer in layers for combination in rules.last(layer, layers))]


def _stack(layers: Layers, rules: Rules) -> list[Layers]:
    return list(accumulate(layers, lambda below, layer: rules.joined(below, (layer,), layers), initial=BASELINE))


def _full(layers: Layers, rules: Rules) -> list[Layers]:
    if not rules.allows_more_than(MOST_IN_FULL, layers):
        return rules.allowed(layers)
    has_fraction = len(layers) <= MOST_IN_FRACTION
    count = f"{len(rules.allowed(layers)):,}" if has_fraction else f"more than {MOST_IN_FULL}"
    raise UserError(
        f"--design full has {count} combinations of {len(layers)} layers, and {MOST_IN_FULL} are the most.",
        "Use --design fraction, which tells all layers and pairs of layers apart, or fewer --layers."
        if has_fraction
        else ONE_BY_ONE,
    )


# Generators of the fractions: each letter is a layer, each word the layers whose product decides one more. A fraction
# must contain the all-off combination, hence the signs. 2^(k-1) by the product of all others; the others from Box,
# Hunter & Hunter, "Statistics for Experimenters", 2005, table of fractional designs; from 12 layers on found by search.
HALF_GENERATORS = {3: "a b -ab", 4: "a b c abc", 5: "a b c d -abcd", 6: "a b c d e abcde"}
QUARTER_GENERATORS = {5: "a b c -ab -ac", 6: "a b c d abc bcd"}
# Of resolution V or more: layers and pairs of layers are all told apart.
FRACTION_GENERATORS = {
    5: HALF_GENERATORS[5],
    6: HALF_GENERATORS[6],
    7: "a b c d e f -abcdef",
    8: "a b c d e f -abcd -abef",
    9: "a b c d e f g acdfg bcefg",
    10: "a b c d e f g -abcg -bcde -acdf",
    11: "a b c d e f g -abcg -bcde -acdf abcdefg",
    12: "a b c d e f g h abcde abfgh acdfg bcefh",
    13: "a b c d e f g h abcde abfgh acdfg bcefh -abcf",
}
MOST_IN_FRACTION = max(FRACTION_GENERATORS)
ONE_BY_ONE = (
    "Use --design single,leave-one-out,stack, which may have any number of layers, or name fewer with --layers."
)


def _named_fraction(name: str, generators: dict[int, str]) -> Callable[[Layers, Rules], list[Layers]]:
    """A fraction that is defined for some numbers of layers, any of which can be on together."""

    def choose(layers: Layers, rules: Rules) -> list[Layers]:
        if rules:
            raise UserError(
                f"--design {name} is not defined for layers that need or exclude each other.", "Use fraction."
            )
        if len(layers) not in generators:
            sizes = " or ".join(str(size) for size in generators)
            raise UserError(
                f"--design {name} is defined for {sizes} layers, and {len(layers)} take part.", "Use fraction."
            )
        return _regular_fraction(layers, generators[len(layers)])

    return choose


def _regular_fraction(layers: Layers, generators: str) -> list[Layers]:
    from pydoe import fracfact

    rows = fracfact(generators)
    return [tuple(layer for layer, level in zip(layers, row, strict=True) if level > 0) for row in rows]


def _fraction(layers: Layers, rules: Rules) -> list[Layers]:
    """The smallest part of a full design that tells all layers and pairs apart; all of it up to four layers.

    Layers that need or exclude each other leave holes in a regular fraction: as many combinations are then chosen
    anew, from those that can be.
    """
    generators = FRACTION_GENERATORS.get(len(layers))
    if generators is None:
        if rules.allows_more_than(MOST_IN_FULL, layers):
            raise UserError(
                f"{len(layers)} layers take part, and a fraction is defined for at most {MOST_IN_FRACTION}.", ONE_BY_ONE
            )
        return rules.allowed(layers)
    size = 2 ** sum(len(word) == 1 for word in generators.split())
    return _optimal_fraction(layers, rules, size) if rules else _regular_fraction(layers, generators)


@lru_cache(maxsize=64)
def _optimal_fraction(layers: Layers, rules: Rules, size: int) -> list[Layers]:
    """So many combinations that can be, which tell layers and pairs of layers best.

    Each next one is the one of which the model of main effects and pairs knows least, given those before: this makes
    the determinant of the information grow fastest. Dykstra, "The augmentation of experimental data to maximize
    |X'X|", 1971.
    """
    import numpy as np

    allowed = rules.allowed(layers)
    if len(allowed) <= size:
        return allowed
    signs = np.array([[1.0 if layer in combination else -1.0 for layer in layers] for combination in allowed])
    pairs = [pair for pair in combinations(range(len(layers)), 2) if rules.can_meet([layers[i] for i in pair])]
    rows = np.column_stack((np.ones(len(allowed)), signs, *(signs[:, a] * signs[:, b] for a, b in pairs)))
    covariance = np.eye(rows.shape[1]) / LITTLE
    variances = np.full(len(allowed), rows.shape[1] / LITTLE)
    chosen = [allowed.index(BASELINE), allowed.index(rules.fullest(layers))]
    for number in range(size):
        if number >= len(chosen):
            chosen.append(int(np.argmax(variances)))
        seen = covariance @ rows[chosen[number]]
        told = 1 + rows[chosen[number]] @ seen
        variances -= (rows @ seen) ** 2 / told
        variances[chosen[number]] = -np.inf  # each once
        covariance -= np.outer(seen, seen) / told
    return [allowed[index] for index in chosen]


LITTLE = 1e-3  # information to begin with: next to nothing beside that of one combination

DESIGNS: dict[str, Callable[[Layers, Rules], list[Layers]]] = {
    "single": _single,
    "leave-one-out": _leave_one_out,
    "stack": _stack,
    "quarter": _named_fraction("quarter", QUARTER_GENERATORS),
    "half": _named_fraction("half", HALF_GENERATORS),
    "fraction": _fraction,
    "full": _full,
}
ALL_BUT_FULL = ("single", "leave-one-out", "fraction")
"""What tells of every layer what a full design does, where that has too many combinations."""


def design_of_all(layers: Layers, rules: Rules) -> tuple[str, ...]:
    """What ``--all`` stands for: every combination, or where those are too many what tells most of them."""
    return ALL_BUT_FULL if rules.allows_more_than(MOST_IN_FULL, layers) else ("full",)


def choose_combinations(layers: Layers, design: Iterable[str], rules: Rules = NO_RULES) -> list[Layers]:
    """The combinations of the named designs, each once, smallest first; the baseline is always among them."""
    chosen = {BASELINE, *chain.from_iterable(DESIGNS[name](layers, rules) for name in design)}
    return smallest_first(chosen, layers)


def combinations_of(spec: RunSpec) -> list[Layers]:
    """Those that a run measures."""
    return choose_combinations(spec.layers, spec.design, spec.rules)


def fraction_sentence(spec: RunSpec) -> str | None:
    """What a fraction leaves out; None for another design, and where it is all that there is."""
    if "fraction" not in spec.design:
        return None
    possible, measured = len(spec.rules.allowed(spec.layers)), len(combinations_of(spec))
    if measured == possible:
        return None
    return (
        f"{len(spec.layers)} layers have {possible:,} combinations, and {measured} of them are measured: enough to "
        "tell all layers and pairs of layers apart, but not what three or more layers do together."
    )


def interval_sentence(spec: RunSpec) -> str | None:
    """That a run has too few blocks for intervals, and how many suffice; None where it has enough."""
    least = fewest_blocks(spec)
    if spec.blocks >= least:
        return None
    blocks = f"{spec.blocks} blocks do" if spec.blocks > 1 else "1 block does"
    return (
        f"{blocks} not tell how much trials of this design scatter, so no figure will have an interval, and nothing "
        f"can be shown: {least} blocks suffice."
    )


# Words whose parity splits a full design into mini-blocks of 8: drift between mini-blocks then falls on these words and
# their products alone, all of them interactions of three layers or more. Box, Hunter & Hunter, "Statistics for
# Experimenters", 2005, table 5A.1.
CONFOUNDED = {4: ("abcd",), 5: ("abc", "cde"), 6: ("abef", "abcd", "ace")}
MINI_BLOCK = 8
MOST_TOGETHER = 16  # combinations in one mini-block, where it is not split by words
FEW_LAYERS = 6  # of so many, none of which need or exclude others, designs that are not full are one mini-block each


def mini_blocks(
    layers: Layers, chosen: list[Layers], rng: random.Random, rules: Rules = NO_RULES
) -> list[list[Layers]]:
    """The combinations in mini-blocks, all in random order.

    A full design of four to six layers is split by words; which layer is which letter of the words is drawn as well, so
    that every block confounds other interactions. Where there are many combinations without such words, they are
    split at random into mini-blocks of about 8: the level of a mini-block then costs about an eighth of what its trials
    tell, and drift falls on no effect in particular, since every block is split anew.
    """
    words = CONFOUNDED.get(len(layers), ()) if len(chosen) == 2 ** len(layers) else ()
    letters = dict(zip(rng.sample(layers, len(layers)), "abcdefghijklmnopqrstuvwxyz", strict=False))
    shuffled = rng.sample(chosen, len(chosen))
    if not words and len(chosen) > MOST_TOGETHER and (rules or len(layers) > FEW_LAYERS):
        parts = math.ceil(len(chosen) / MINI_BLOCK)
        return [shuffled[part::parts] for part in range(parts)]
    groups: dict[tuple[int, ...], list[Layers]] = {}
    for combination in shuffled:
        parities = tuple(sum(letters[layer] in word for layer in combination) % 2 for word in words)
        groups.setdefault(parities, []).append(combination)
    return list(groups.values())


def make_trials(spec: RunSpec) -> list[TrialSpec]:
    """The speed trials of a run in order; of a plan that may be huge, ask ``block_trials`` and ``count_trials``."""
    return [trial for block in range(1, spec.blocks + 1) for trial in block_trials(spec, block)]


def count_trials(spec: RunSpec) -> int:
    """How many speed trials a run has; every block has as many."""
    return spec.blocks * len(block_trials(spec, 1))


def block_trials(spec: RunSpec, block: int) -> list[TrialSpec]:
    """The speed trials of a block, counted from 1, in order.

    It holds every combination once, in mini-blocks and orders of its own, drawn from the run's seed. The baseline
    is run before, between and after the mini-blocks: these anchors show how the machine drifts, and tie the
    mini-blocks together. Mini-blocks that are to be apart have one before and one after each. Trials of a block share
    their training seed, so that they differ in their layers alone. The first trial of every combination counts its
    operators. Runs of ``scale`` and of ``ablate --factors`` have blocks of their own kinds.
    """
    if spec.scale is not None:
        return scale_block(spec, spec.scale, block)
    if spec.factors is not None:
        return factor_block(spec, spec.factors, block)
    parts = mini_blocks(spec.layers, combinations_of(spec), random.Random(f"{spec.seed}/{block}"), spec.rules)
    first = (block - 1) * len(parts) + 1  # number of the mini-block, over the whole run

    def trial(name: str, layers: Layers, numbers: range) -> TrialSpec:
        counts = block == 1 and (layers != BASELINE or name == "anchor0")
        key, seed = f"b{block}.{name}", spec.seed + block - 1
        return TrialSpec(key, layers, block, seed, mini_blocks=tuple(numbers), counts=counts)

    apart, last = spec.mini_blocks_apart, first + len(parts) - 1
    anchors = (f"anchor{index}" for index in count())
    trials: list[TrialSpec] = []
    for number, part in enumerate(parts, first):
        own = range(number, number + 1)
        trials.append(trial(next(anchors), BASELINE, own if apart else range(max(number - 1, first), number + 1)))
        trials += [trial(combination_name(c), c, own) for c in part if c != BASELINE]
        if apart or number == last:
            trials.append(trial(next(anchors), BASELINE, own))
    return trials


def shares_of(spec: RunSpec) -> dict[int, list[TrialSpec]]:
    """The speed trials of a run with mini-blocks apart, by mini-block: what one machine runs as a whole."""
    shares: dict[int, list[TrialSpec]] = {}
    for trial in make_trials(spec):
        shares.setdefault(trial.mini_blocks[0], []).append(trial)
    return shares


def fewest_blocks(spec: RunSpec) -> int:
    """The blocks of the smallest run whose trials tell how much one scatters, so that figures have intervals.

    From repeated combinations, or from interactions of three layers and more where there are so many combinations.
    """
    pairs = sum(spec.rules.can_meet(pair) for pair in combinations(spec.layers, 2))
    levels = min(len(combinations_of(spec)), 1 + len(spec.layers) + pairs)
    trials = block_trials(spec, 1)
    mini_blocks = max(number for trial in trials for number in trial.mini_blocks)
    # Each mini-block has a level of its own, but for the first, which is the others'.
    return math.ceil((LEAST_DEGREES + levels - 1) / (len(trials) - mini_blocks))

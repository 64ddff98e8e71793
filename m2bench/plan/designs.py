"""The plan: which combinations, in which order. Pure: nothing is run, nothing is read."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from itertools import accumulate, chain

from m2bench.records.combinations import BASELINE, Layers, combination_name, every_combination
from m2bench.records.errors import UserError
from m2bench.records.spec import RunSpec, TrialSpec
from m2bench.statistics.estimate import LEAST_DEGREES


def _single(layers: Layers) -> list[Layers]:
    return [(layer,) for layer in layers]


def _leave_one_out(layers: Layers) -> list[Layers]:
    return [layers, *(tuple(other for other in layers if other != layer) for layer in layers)]


def _stack(layers: Layers) -> list[Layers]:
    return list(accumulate(((layer,) for layer in layers), lambda below, layer: below + layer))


# Generators of the fractions: each letter is a layer, each word the layers whose product decides one more.
# A fraction must contain the all-off combination, hence the signs. 2^(k-1) by the product of all others;
# 2^(6-2) and 2^(5-2) from Box, Hunter & Hunter, "Statistics for Experimenters", table of fractional designs.
HALF_GENERATORS = {3: "a b -ab", 4: "a b c abc", 5: "a b c d -abcd", 6: "a b c d e abcde"}
QUARTER_GENERATORS = {5: "a b c -ab -ac", 6: "a b c d abc bcd"}


def _fraction(layers: Layers, generators: dict[int, str], name: str) -> list[Layers]:
    if len(layers) not in generators:
        sizes = " or ".join(str(size) for size in generators)
        raise UserError(f"--design {name} is defined for {sizes} layers, and {len(layers)} take part.", "Use full.")
    from pydoe import fracfact

    rows = fracfact(generators[len(layers)])
    return [tuple(layer for layer, level in zip(layers, row, strict=True) if level > 0) for row in rows]


DESIGNS: dict[str, Callable[[Layers], list[Layers]]] = {
    "single": _single,
    "leave-one-out": _leave_one_out,
    "stack": _stack,
    "quarter": lambda layers: _fraction(layers, QUARTER_GENERATORS, "quarter"),
    "half": lambda layers: _fraction(layers, HALF_GENERATORS, "half"),
    "full": every_combination,
}
DEFAULT_DESIGN = ("single", "leave-one-out", "stack")


def choose_combinations(layers: Layers, design: Iterable[str]) -> list[Layers]:
    """The combinations of the named designs, each once, smallest first; the baseline is always among them."""
    chosen = {BASELINE, *chain.from_iterable(DESIGNS[name](layers) for name in design)}
    return [layers_on for layers_on in every_combination(layers) if layers_on in chosen]


# Words whose parity splits a full design into mini-blocks of 8: drift between mini-blocks then falls on these words and
# their products alone, all of them interactions of three layers or more. Box, Hunter & Hunter, "Statistics for
# Experimenters", 2005, table 5A.1.
CONFOUNDED = {4: ("abcd",), 5: ("abc", "cde"), 6: ("abef", "abcd", "ace")}


def mini_blocks(layers: Layers, chosen: list[Layers], rng: random.Random) -> list[list[Layers]]:
    """The combinations in mini-blocks, all in random order.

    Which layer is which letter of the words is drawn as well, so that every block confounds other interactions.
    Anything but a full design of four layers or more is one mini-block.
    """
    words = CONFOUNDED.get(len(layers), ()) if len(chosen) == 2 ** len(layers) else ()
    letters = dict(zip(rng.sample(layers, len(layers)), "abcdefghijklmnopqrstuvwxyz", strict=False))
    groups: dict[tuple[int, ...], list[Layers]] = {}
    for combination in rng.sample(chosen, len(chosen)):
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
    mini-blocks together. Trials of a block share their training seed, so that they differ in their layers alone. The
    first trial of every combination counts its operators.
    """
    chosen = choose_combinations(spec.layers, spec.design)
    parts = mini_blocks(spec.layers, chosen, random.Random(f"{spec.seed}/{block}"))
    first = (block - 1) * len(parts) + 1  # number of the mini-block, over the whole run

    def trial(name: str, layers: Layers, numbers: range) -> TrialSpec:
        counts = block == 1 and (layers != BASELINE or name == "anchor0")
        key, seed = f"b{block}.{name}", spec.seed + block - 1
        return TrialSpec(key, layers, block, seed, mini_blocks=tuple(numbers), counts=counts)

    trials: list[TrialSpec] = []
    for number, part in enumerate(parts, first):
        trials.append(trial(f"anchor{number - first}", BASELINE, range(max(number - 1, first), number + 1)))
        trials += [trial(combination_name(c), c, range(number, number + 1)) for c in part if c != BASELINE]
    last = first + len(parts) - 1
    return [*trials, trial(f"anchor{len(parts)}", BASELINE, range(last, last + 1))]


def fewest_blocks(spec: RunSpec) -> int:
    """The blocks of the smallest run whose trials tell how much one scatters, so that figures have intervals.

    From repeated combinations, or from interactions of three layers and more where there are so many combinations.
    """
    combinations = choose_combinations(spec.layers, spec.design)
    layers = len(spec.layers)
    second_order = 1 + layers + math.comb(layers, 2)
    levels = min(len(combinations), second_order)
    trials = block_trials(spec, 1)
    mini_blocks = max(number for trial in trials for number in trial.mini_blocks)
    # Each mini-block has a level of its own, but for the first, which is the others'.
    return math.ceil((LEAST_DEGREES + levels - 1) / (len(trials) - mini_blocks))

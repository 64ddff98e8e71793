"""The plan: which combinations, in which order. Pure: nothing is run, nothing is read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import accumulate, chain, combinations

from .errors import UserError
from .spec import BASELINE, Layers, RunSpec, TrialSpec, combination_name


def every_combination(layers: Layers) -> list[Layers]:
    """All 2^k sets of the layers, smallest first."""
    sizes = range(len(layers) + 1)
    return list(chain.from_iterable(combinations(layers, size) for size in sizes))


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


def make_trials(spec: RunSpec) -> list[TrialSpec]:
    """All trials of a run in order.

    A block holds every combination once in an order of its own, drawn from the run's seed,
    with the baseline first and last, so that drift is seen. Trials of a block share their
    training seed, so that they differ in their layers alone.
    """
    others = [layers for layers in choose_combinations(spec.layers, spec.design) if layers != BASELINE]
    trials = []
    for block in range(1, spec.blocks + 1):
        order = others.copy()
        random.Random(f"{spec.seed}/{block}").shuffle(order)
        named = [("first.baseline", BASELINE), *((combination_name(c), c) for c in order), ("last.baseline", BASELINE)]
        trials += [TrialSpec(f"b{block}.{name}", layers, block, spec.seed + block - 1) for name, layers in named]
    return trials


# Rough seconds of a trial beside its windows, with its gates, and of first compilations, on two cores of a server CPU.
STARTUP_S = 2.8
COLD_COMPILE_S = 100.0


def estimate_s(spec: RunSpec, compiles: bool) -> float:
    """Roughly how many seconds the run will take, before anything was measured on this machine.

    ``compiles`` says whether a layer taking part compiles: its first trials find no compiled code to reuse.
    """
    per_trial = STARTUP_S + spec.window.warmup_s + spec.window.timed_s
    return len(make_trials(spec)) * per_trial + (COLD_COMPILE_S if compiles else 0.0)

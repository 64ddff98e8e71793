"""Made-up runs of 3 to 12 layers with planted effects, some of whose layers need or exclude others.

``python tests/support/planted_runs.py 20`` prints how often the intervals of such runs hold the truth, and how good the
sets are that they recommend. Every truth is worked out by going through combinations and orders one by one.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, combinations, permutations

import numpy as np

from m2bench.findings.recommendation.recommend import recommend
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import combinations_of, design_of_all, make_trials
from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.records.rules import NO_RULES, Rules
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.factorial import Observation
from m2bench.statistics.prediction import Prediction
from m2bench.summary.ablation_summary import Recommendation
from m2bench.summary.rows import CombinationRow, LearningOfCombination, Numerics

NAMES = tuple("abcdefghijkl")
Planted = Mapping[Layers, float]
"""What layers do to the logarithm of the speed, and what some of them do together."""


@dataclass(frozen=True)
class Scenario:
    """A run that is planned. ``together``: the layers that are in the total."""

    count: int
    rules: Rules = NO_RULES
    design: tuple[str, ...] | None = None
    blocks: int = 3
    together: Layers | None = None

    @property
    def layers(self) -> Layers:
        return NAMES[: self.count]

    def spec(self, seed: int = 0) -> RunSpec:
        design = self.design or design_of_all(self.layers, self.rules)
        return RunSpec(self.layers, design, self.blocks, seed, rules=self.rules)

    def fullest_with(self, layer: str) -> Layers:
        """The layers in whose orders this one is valued: those of the total, or it in place of what excludes it."""
        together = self.together or self.layers
        excluded = {x for pair in self.rules.excludes if layer in pair for x in pair if x != layer}
        return together if layer in together else tuple(x for x in self.layers if x in {*together, layer} - excluded)


CHAIN = Rules(needs=(("b", "a"), ("c", "b")), excludes=(("d", "e"),))
"""b builds on a, c on b; d and e are alternatives."""


def beside_chain(count: int) -> Layers:
    return tuple(x for x in NAMES[:count] if x != "e")


SCENARIOS = {
    **{f"{count} layers, full": Scenario(count) for count in range(1, 8)},
    **{f"{count} layers, fraction": Scenario(count) for count in range(8, 13)},
    "12 layers, one block": Scenario(12, blocks=1),
    "5 layers with rules, full": Scenario(5, CHAIN, together=beside_chain(5)),
    "8 layers with rules": Scenario(8, CHAIN, together=beside_chain(8)),
    "8 layers with rules, fraction": Scenario(8, CHAIN, ("fraction",), together=beside_chain(8)),
    "12 layers with rules": Scenario(12, CHAIN, together=beside_chain(12)),
}


def allowed(rules: Rules, chosen: Layers) -> bool:
    return all(b in chosen for a, b in rules.needs if a in chosen) and not any(
        a in chosen and b in chosen for a, b in rules.excludes
    )


@cache
def every(scenario: Scenario) -> list[Layers]:
    """All combinations that can be."""
    sizes = range(scenario.count + 1)
    sets = chain.from_iterable(combinations(scenario.layers, size) for size in sizes)
    return [chosen for chosen in sets if allowed(scenario.rules, chosen)]


def plant(scenario: Scenario, rng: np.random.Generator, triples: int = 0) -> Planted:
    """One layer of great effect, some of less, a third that do nothing; some pairs that are more or less than both."""
    size = scenario.count
    effects = rng.choice([-0.2, 0.0, 0.0, 0.15, 0.4], size)
    effects[rng.integers(size)] = 1.5
    planted: dict[Layers, float] = {(x,): float(value) for x, value in zip(scenario.layers, effects, strict=True)}
    pairs = list(combinations(scenario.layers, 2))
    for index in rng.permutation(len(pairs))[: size // 2]:
        planted[pairs[index]] = float(rng.choice([-0.1, 0.15]))
    threes = list(combinations(scenario.layers, 3))
    for index in rng.permutation(len(threes))[:triples]:
        planted[threes[index]] = float(rng.choice([-0.1, 0.1]))
    return planted


def level(planted: Planted, chosen: Layers) -> float:
    return sum(value for names, value in planted.items() if {*names} <= {*chosen})


def with_layer(scenario: Scenario, chosen: Layers, *more: str) -> Layers:
    return tuple(x for x in scenario.layers if x in chosen or x in more)


def true_main(scenario: Scenario, planted: Planted, layer: str) -> float:
    possible = set(every(scenario))
    pairs = [(c, with_layer(scenario, c, layer)) for c in possible if layer not in c]
    return float(np.mean([level(planted, over) - level(planted, c) for c, over in pairs if over in possible]))


def true_interaction(scenario: Scenario, planted: Planted, one: str, other: str) -> float | None:
    """None where the two never meet: there is no combination of which both can be switched on and off."""
    possible = set(every(scenario))
    found = []
    for c in possible:
        four = [c, *(with_layer(scenario, c, *more) for more in ((one,), (other,), (one, other)))]
        if not {one, other} & {*c} and possible.issuperset(four):
            off, first, second, both = (level(planted, each) for each in four)
            found.append(both - first - second + off)
    return float(np.mean(found)) if found else None


def orders(rules: Rules, layers: Layers) -> Iterator[Layers]:
    """All orders in which these layers can be switched on one after the other."""
    for order in permutations(layers):
        if all(order.index(b) < order.index(a) for a, b in rules.needs if a in order and b in order):
            yield order


def true_shapley(scenario: Scenario, planted: Planted, layer: str) -> float:
    """The mean gain over all orders; with effects of layers and pairs alone, over the orders of the two and their kin.

    How often one of two layers comes first depends on nothing but the layers that they are tied to by needs.
    """
    total = planted.get((layer,), 0.0)
    for names, value in planted.items():
        others = [x for x in names if x != layer]
        if len(names) == 2 and len(others) == 1 and others[0] in scenario.fullest_with(layer):
            tied = {x for pair in scenario.rules.needs if {*pair} & {layer, *others} for x in pair}
            tied |= {x for pair in scenario.rules.needs if {*pair} & tied for x in pair}
            firsts = [
                order.index(others[0]) < order.index(layer)
                for order in orders(scenario.rules, tuple({layer, *others, *tied}))
            ]
            total += value * float(np.mean(firsts))
        assert len(names) <= 2, "planted effects of three layers have another share"
    return total


def simulate(scenario: Scenario, planted: Planted, sd: float, seed: int, drift: float = 0.0) -> Effects:
    """The fit of one run whose trials scatter by ``sd``, on a machine that becomes slower by ``drift`` (logs)."""
    rng = np.random.default_rng(seed)
    trials = make_trials(scenario.spec(seed))
    noise = rng.normal(0, sd, len(trials)) - drift * np.linspace(0, 1, len(trials)) ** 2
    return Effects(
        scenario.layers,
        [
            Observation(t.key, t.layers, t.mini_blocks, math.exp(level(planted, t.layers) + e))
            for t, e in zip(trials, noise, strict=True)
        ],
        scenario.rules,
    )


def advise(scenario: Scenario, planted: Planted, prediction: Prediction) -> Recommendation:
    """What a run recommends from these trials alone, without learning."""
    learning = LearningOfCombination("same", episodes_per_update=1)
    rows = [
        CombinationRow(c, "ok", None, scenario.blocks, scenario.blocks, speedup=Figure(math.exp(level(planted, c))),
                       numerics=Numerics("same"), learning=learning)
        for c in combinations_of(scenario.spec())
    ]  # fmt: skip
    in_part = "fraction" in scenario.spec().design
    advice = recommend(scenario.layers, rows, prediction, lambda over, under: None, (), scenario.blocks, 0, in_part)
    assert advice is not None
    return advice


def kind_of(scenario: Scenario, planted: Planted, chosen: Layers) -> str:
    """How good a recommended set is: ``near`` the best (5 %), ``less``, or wrong.

    Wrong is what is ``impossible``, and where removing a layer, with what needs it, makes the set faster (``costly``)
    or changes nothing (``neutral``).
    """
    if not allowed(scenario.rules, chosen):
        return "impossible"
    rests = []
    for layer in chosen:
        gone: set[str] = {layer}
        before: set[str] = set()
        while gone != before:
            before, gone = gone, gone | {a for a, b in scenario.rules.needs if b in gone}
        rests.append(tuple(x for x in chosen if x not in gone))
    gains = [level(planted, chosen) - level(planted, rest) for rest in rests]
    if min(gains, default=1.0) < 1e-9:
        return "costly" if min(gains) < -1e-9 else "neutral"
    best = max(level(planted, c) for c in every(scenario))
    return "near" if level(planted, chosen) > best - math.log(1.05) else "less"


@dataclass
class Tally:
    """What came of some runs: how good the recommended sets are, which intervals hold the truth."""

    kinds: Counter[str] = field(default_factory=Counter)
    covered: dict[str, list[bool]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    settled: int = 0

    def add(self, scenario: Scenario, planted: Planted, effects: Effects) -> None:
        layers = scenario.layers
        for layer in layers:
            self.cover("main effect", effects.main_effect(layer), true_main(scenario, planted, layer))
            if all(len(names) < 3 for names in planted):
                self.cover("Shapley", effects.shapley(layer)[0], true_shapley(scenario, planted, layer))
            for name, found, pair in (
                ("alone", effects.alone(layer), scenario.rules.alone(layer, layers)),
                ("last", effects.last(layer), scenario.rules.last(layer, layers)),
            ):
                self.cover(name, found, level(planted, pair[0]) - level(planted, pair[1]))
        for one, other in combinations(layers, 2):
            truth = true_interaction(scenario, planted, one, other)
            found = effects.interaction((one, other))
            if truth is None:
                assert found is None, f"{one} and {other} never meet"
            else:
                self.cover("interaction", found, truth)
        self._add_advice(scenario, planted, effects)

    def _add_advice(self, scenario: Scenario, planted: Planted, effects: Effects) -> None:
        prediction = Prediction(effects)
        advice = advise(scenario, planted, prediction)
        self.kinds[kind_of(scenario, planted, advice.layers)] += 1
        self.settled += advice.settled
        if advice.layers:
            self.cover("gain of the set", prediction.ratio(advice.layers), level(planted, advice.layers))
        measured = {*effects.cells}
        unmeasured = [c for c in every(scenario) if c not in measured]
        for name, some in (("of a measured one", effects.cells[1:]), ("of another one", unmeasured)):
            for chosen in some[:: max(1, len(some) // 50)]:
                self.cover(name, prediction.ratio(chosen), level(planted, chosen))

    def cover(self, name: str, found: Estimate | None, log: float) -> None:
        """Note whether an interval holds the truth."""
        if found is None or found.interval is None:
            self.unknown[name] += 1
        else:
            low, high = found.interval
            self.covered.setdefault(name, []).append(low <= math.exp(log) <= high)


def tally(scenario: Scenario, runs: int, sd: float = 0.05, triples: int = 0, drift: float = 0.0) -> Tally:
    found = Tally()
    for seed in range(runs):
        planted = plant(scenario, np.random.default_rng(1000 + seed), triples)
        found.add(scenario, planted, simulate(scenario, planted, sd, seed, drift))
    return found


def main(runs: int, only: str = "") -> None:
    print(f"{runs} runs each; shares in percent")
    for name, scenario in SCENARIOS.items():
        if only not in name:
            continue
        for how in ({"sd": 0.05}, {"sd": 0.15}, {"sd": 0.05, "drift": 0.5}, {"sd": 0.05, "triples": 4}):
            if "triples" in how and scenario.count < 5:
                continue
            begin = time.monotonic()
            found = tally(scenario, runs, **how)  # type: ignore[arg-type]
            kinds = ", ".join(f"{kind} {100 * count / runs:.0f}" for kind, count in found.kinds.most_common())
            held = ", ".join(f"{what} {100 * np.mean(hits):.1f}" for what, hits in found.covered.items())
            unknown = f" | no interval: {dict(found.unknown)}" if found.unknown else ""
            each = f"{(time.monotonic() - begin) / runs:.1f} s a run"
            print(
                f"{name} | {how} | {kinds} | settled {100 * found.settled / runs:.0f} | {held}{unknown} | {each}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])

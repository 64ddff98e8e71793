"""Made-up runs of ``ablate --factors``: ways of learning that are planted to be sooner, steadier, or nothing of it.

``python tests/support/simulated_ways.py 300`` prints how often runs find what was planted, how often their intervals
hold, and how often they see something where there is nothing.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from made_run import STARTED, make_record

from m2bench.findings.summarize_factors import summarize_factors
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import block_trials
from m2bench.plan.factors_trials import factors_of
from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Factors
from m2bench.records.figure import Figure
from m2bench.records.results import CurvePoint, LearningResult
from m2bench.statistics.learning_curve import EVALUATION_SPACING
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.factors_summary import FactorsSummary
from m2bench.systems.trading.options import LEARNING_FACTORS

EPISODES, PACE_S = 600.0, 0.05
"""Of the way without anything: to the target, and seconds for each."""
LUCK, MACHINE = 0.3, 0.05
"""Standard deviations of logarithms: what all ways of a seed share, and of the seconds of a trial."""
SETBACKS = 0.3


@dataclass(frozen=True)
class Truth:
    """What factors and layers do: ``episodes`` and ``pace`` are ratios by name, and ``together`` those of episodes
    that two have beside their own.

    ``scatter``: of the logarithm of a trial's episodes, beside what its seed's luck does, and ``spread`` that by the
    name of a factor, as a ratio. ``setbacks``: by name, how much more of the movement goes downwards.
    """

    episodes: Mapping[str, float] = field(default_factory=dict)
    pace: Mapping[str, float] = field(default_factory=dict)
    together: Mapping[tuple[str, str], float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    setbacks: Mapping[str, float] = field(default_factory=dict)
    scatter: float = 0.2

    def episodes_of(self, chosen: Layers) -> float:
        pairs = math.prod(ratio for pair, ratio in self.together.items() if {*pair} <= {*chosen})
        return EPISODES * pairs * math.prod(self.episodes.get(name, 1.0) for name in chosen)

    def pace_of(self, chosen: Layers) -> float:
        return PACE_S * math.prod(self.pace.get(name, 1.0) for name in chosen)


def spec_of(blocks: int = 8, crossed: Layers = ()) -> RunSpec:
    return RunSpec(crossed, (), blocks, seed=3, factors=Factors(LEARNING_FACTORS, crossed=crossed))


def curve_to(episodes: float, seconds: float, setback: float) -> tuple[CurvePoint, ...]:
    """Two evaluations up, one down by ``setback`` of all movement; the target is reached with the last.

    They are spaced as those of a trial.
    """
    returns = (0.0, 1.0, 1.0 - 2 * setback / (1 - 2 * setback), 2.0)
    shares = [EVALUATION_SPACING**power for power in (-3, -2, -1, 0)]
    return tuple(
        CurvePoint(share * episodes, share * episodes, share * seconds, level)
        for share, level in zip(shares, returns, strict=True)
    )


def trials_of(spec: RunSpec, truth: Truth, rng: np.random.Generator) -> Iterator[StoredTrial]:
    for block in range(1, spec.blocks + 1):
        luck = rng.normal(0, LUCK)
        for trial in block_trials(spec, block):
            chosen = factors_of(trial)
            wide = math.prod(truth.spread.get(name, 1.0) for name in chosen)
            episodes = truth.episodes_of(chosen) * math.exp(wide * (luck + rng.normal(0, truth.scatter)))
            seconds = truth.pace_of(chosen) * episodes * math.exp(rng.normal(0, MACHINE))
            setback = SETBACKS + sum(truth.setbacks.get(name, 0.0) for name in chosen) + rng.normal(0, 0.05)
            learned = LearningResult(
                curve=curve_to(episodes, seconds, min(0.45, max(0.01, setback))),
                episodes_per_update=1, episodes_to_target=episodes, proofs={},
            )  # fmt: skip
            yield StoredTrial(trial, STARTED, 1.0, "ok", None, None, learned)


def simulated(spec: RunSpec, truth: Truth, seed: int) -> FactorsSummary:
    return summarize_factors("run", make_record(spec), [*trials_of(spec, truth, np.random.default_rng(seed))])


def holds(figure: Figure | None, value: float) -> bool:
    """Whether the interval has the true value in it."""
    assert figure is not None
    assert figure.interval is not None
    return figure.interval[0] <= value <= figure.interval[1]


def outcomes(found: FactorsSummary, truth: Truth) -> Counter[str]:
    """What a run says that is right or wrong: of each kind once or not at all."""
    said: Counter[str] = Counter()
    for effect in found.effects:
        episodes, pace = truth.episodes.get(effect.name, 1.0), truth.pace.get(effect.name, 1.0)
        said[f"{effect.name}: interval of seconds holds"] += holds(effect.seconds_mean, episodes * pace)
        said[f"{effect.name}: interval alone holds"] += holds(effect.seconds_alone, episodes * pace)
        said[f"{effect.name}: interval of spread holds"] += holds(
            effect.steadiness_mean.spread, truth.spread.get(effect.name, 1.0)
        )
        said[f"{effect.name}: interval of setbacks holds"] += holds(
            effect.steadiness_mean.setbacks, truth.setbacks.get(effect.name, 0.0)
        )
        said[f"{effect.name}: {effect.is_sooner} in seconds"] += 1
        said[f"{effect.name}: claim {effect.verdict}"] += 1
    for each in found.worth:
        if each.way is not None:
            with_it = [
                ratio for (one, other), ratio in truth.together.items() if one in each.way and other == each.layer
            ]
            ratio = math.prod(with_it) * truth.episodes.get(each.layer, 1.0) * truth.pace.get(each.layer, 1.0)
            of = f"{each.layer} with {'+'.join(each.way) or 'none'}"
            said[f"{of}: interval holds"] += holds(each.seconds, ratio)
            said[f"{of}: {each.for_speed} for speed, {each.to_target} to the target"] += 1
    for by, soonest in (("seconds", found.soonest_by_seconds), ("episodes", found.soonest_by_episodes)):
        assert soonest is not None
        said[f"any way later, by {by}"] += len(soonest.rivals) < len(found.ways) - 1
        best = min(
            (way.factors for way in found.ways),
            key=lambda chosen: truth.episodes_of(chosen) * (truth.pace_of(chosen) if by == "seconds" else 1.0),
        )
        said[f"the soonest is found, or not shown to be later, by {by}"] += best in (soonest.factors, *soonest.rivals)
    return said


def rates(truth: Truth, runs: int, blocks: int = 8, crossed: Layers = ()) -> Mapping[str, float]:
    """How often runs say what."""
    spec, said = spec_of(blocks, crossed), Counter[str]()
    for seed in range(runs):
        said += outcomes(simulated(spec, truth, seed), truth)
    return {what: count / runs for what, count in said.items()}


TRUTHS = {
    "nothing differs": Truth(),
    "ppo is 1.5 times sooner": Truth(episodes={"ppo": 1 / 1.5}),
    "ppo is steadier by both measures": Truth(spread={"ppo": 0.5}, setbacks={"ppo": -0.1}),
    "a layer of 1/10 of the pace that needs 4 times the episodes, and 25 times with ppo": Truth(
        pace={"batching": 0.1}, episodes={"batching": 4.0}, together={("ppo", "batching"): 6.25}
    ),
}

if __name__ == "__main__":
    for (name, truth), blocks in product(TRUTHS.items(), (4, 8, 16)):
        print(f"{name}, {blocks} seeds")
        for what, share in sorted(rates(truth, int(sys.argv[1]), blocks, tuple(truth.pace)).items()):
            print(f"  {share:6.1%}  {what}")

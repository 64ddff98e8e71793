"""Made-up runs of which the truth is known: the 64 cells of a quiet run, on machines that misbehave.

Cells are speeds over the baseline, as ``ablate --all`` measured them on two cores whose trials scattered by 2.7 %.

``python tests/support/simulated_runs.py 200`` prints what such runs recommend, and how often their intervals hold it.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from every import every_combination
from repository import ROOT

from m2bench.findings.recommendation.recommend import recommend
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.combinations import BASELINE, Layers, layers_of
from m2bench.records.figure import Figure
from m2bench.statistics.effects import Effects
from m2bench.statistics.factorial import Observation
from m2bench.statistics.prediction import Prediction
from m2bench.summary.ablation_summary import LeftOut, Recommendation, SwitchedLayer
from m2bench.summary.rows import CombinationRow, LearningOfCombination, Numerics

CELLS = json.loads((ROOT / "tests" / "support" / "measured_cells.json").read_text())
LAYERS: Layers = tuple(CELLS["layers"])
SLOW_TRIALS, SLOWED_BY = 15, 0.4  # a minute in which something else ran, and what it took (log)

Truth = dict[Layers, float]
MEASURED: Truth = {layers_of(name): math.log(speedup) for name, speedup in CELLS["speedups"].items()}


def without_effect_of(layers: Layers, truth: Truth = MEASURED) -> Truth:
    """The truth in which these layers do exactly nothing, whatever else is on."""
    return {cell: truth[tuple(layer for layer in cell if layer not in layers)] for cell in truth}


TRUTHS = {"as measured": MEASURED, "two layers neutral": without_effect_of(("compile", "grad-accumulation"))}


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a machine, beside that its trials scatter."""

    batching_times: float = 1.0
    slow_minute: bool = False
    heavy_tails: bool = False


TROUBLES = {
    "none": Trouble(),
    "batching scatters 3x": Trouble(batching_times=3.0),
    "a slow minute": Trouble(slow_minute=True),
    "heavy tails": Trouble(heavy_tails=True),
}


def simulate(truth: Truth, sd: float, trouble: Trouble, seed: int, blocks: int = 3) -> Effects:
    """The fit of one run whose trials scatter by ``sd`` (of log speed) around the truth."""
    rng = np.random.default_rng(seed)
    trials = make_trials(RunSpec(LAYERS, ("full",), blocks, seed))
    raw = rng.standard_t(3, len(trials)) / math.sqrt(3) if trouble.heavy_tails else rng.standard_normal(len(trials))
    noise = sd * raw * np.array([trouble.batching_times if "batching" in trial.layers else 1.0 for trial in trials])
    if trouble.slow_minute:
        start = int(rng.integers(0, len(trials) - SLOW_TRIALS))
        noise[start : start + SLOW_TRIALS] -= SLOWED_BY
    values = [math.exp(truth[trial.layers] + error) for trial, error in zip(trials, noise, strict=True)]
    return Effects(
        LAYERS, [Observation(t.key, t.layers, t.mini_blocks, v) for t, v in zip(trials, values, strict=True)]
    )


def advise(effects: Effects, truth: Truth, blocks: int = 3) -> Recommendation:
    """What a run recommends from these trials alone, without learning."""
    learning = LearningOfCombination("same", episodes_per_update=1)
    rows = [
        CombinationRow(cell, "ok", None, blocks, blocks, speedup=Figure(math.exp(truth[cell])),
                       numerics=Numerics("same"), learning=learning)
        for cell in every_combination(LAYERS)
    ]  # fmt: skip
    advice = recommend(LAYERS, rows, Prediction(effects), lambda over, under: None, (), blocks)
    assert advice is not None
    return advice


def kind_of(chosen: Layers, truth: Truth) -> str:
    """``right``: the smallest of the fastest sets. ``costly``: a layer in it costs. ``neutral``: one does nothing.

    Else ``near`` the best, within 5 %, or ``less`` than that; in both each layer pays.
    """
    fastest = max(truth.values())
    gains = [truth[chosen] - truth[tuple(x for x in chosen if x != layer)] for layer in chosen]
    if min(gains, default=1.0) < -1e-9:
        return "costly"
    if min(gains, default=1.0) < 1e-9:
        return "neutral"
    if truth[chosen] > fastest - 1e-9:
        return "right"
    return "near" if truth[chosen] > fastest - math.log(1.05) else "less"


@dataclass
class Tally:
    """What came of some runs of one truth on one machine."""

    kinds: Counter[str] = field(default_factory=Counter)
    sets: Counter[Layers] = field(default_factory=Counter)
    covered: dict[str, list[bool]] = field(default_factory=lambda: {name: [] for name in ("gain", "switched", "own")})
    settled: int = 0

    def add(self, effects: Effects, truth: Truth) -> None:
        advice = advise(effects, truth)
        chosen: Layers = advice.layers
        self.kinds[kind_of(chosen, truth)] += 1
        self.sets[chosen] += 1
        self.settled += advice.settled
        if chosen:
            self._cover("gain", advice.speedup, truth[chosen] - truth[BASELINE])
        switches: list[SwitchedLayer | LeftOut] = [*advice.kept, *advice.left_out]
        for found in switches:
            switched = tuple(x for x in LAYERS if (x in chosen) != (x == found.layer))
            self._cover("switched", found.ratio, truth[switched] - truth[chosen])
        for cell in effects.cells[1:]:
            own = effects.ratio(cell)
            assert own is not None
            self._cover("own", own.figure, truth[cell] - truth[BASELINE])

    def _cover(self, name: str, found: Figure | None, log: float) -> None:
        assert found is not None
        assert found.interval is not None
        self.covered[name].append(found.interval[0] <= math.exp(log) <= found.interval[1])

    @property
    def disagreeing(self) -> float:
        """The chance that two such runs recommend different sets."""
        runs = self.sets.total()
        return 1 - sum(count * (count - 1) for count in self.sets.values()) / max(1, runs * (runs - 1))


def tally(truth: Truth, sd: float, trouble: Trouble, runs: int) -> Tally:
    found = Tally()
    for seed in range(runs):
        found.add(simulate(truth, sd, trouble, seed), truth)
    return found


def main(runs: int) -> None:
    print(f"{runs} runs each; shares in percent")
    for truth_name, truth in TRUTHS.items():
        for trouble_name, trouble in TROUBLES.items():
            for sd in (0.03, 0.06, 0.12, 0.25):
                found = tally(truth, sd, trouble, runs)
                kinds = ", ".join(f"{kind} {100 * count / runs:.1f}" for kind, count in found.kinds.most_common())
                held = ", ".join(f"{name} {100 * np.mean(hits):.1f}" for name, hits in found.covered.items())
                parts = [
                    truth_name,
                    trouble_name,
                    f"scatter {sd:.0%}",
                    kinds,
                    f"disagree {100 * found.disagreeing:.1f}",
                ]
                parts += [f"settled {100 * found.settled / runs:.0f}", f"intervals hold: {held}"]
                print(" | ".join(parts), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

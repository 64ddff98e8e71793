"""What a run can tell apart on a machine, against simulated machines of known noise."""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest

from m2bench.inspect.resolution import DesignErrors, Resolution, Resolved, resolution_sentences
from m2bench.options.run_options import DEFAULT_BLOCKS
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.statistics.effects import Effects
from m2bench.statistics.factorial import Observation

LAYERS = ("a", "b", "c", "d")
RUNS = 4000  # simulated: their scatter is known to 1.1 %


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_the_scatter_of_trials_is_found_whatever_the_drift(drift: float) -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(0, 0.05, 400) + drift * np.linspace(0, 1, 400)
    assert Resolution.from_speeds(list(np.exp(logs))).trial_sd == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("trials", [4, 7, 20])
def test_the_interval_of_the_scatter_holds_it_in_95_percent(trials: int) -> None:
    runs = np.exp(np.random.default_rng(0).normal(0, 0.05, (RUNS, trials)))
    ends = [Resolution.from_speeds(list(run)).interval() for run in runs]
    held = np.mean([low.trial_sd <= 0.05 <= high.trial_sd for low, high in ends])
    assert held == pytest.approx(0.95, abs=0.015)


def test_the_words_go_no_further_than_the_scatter_is_known() -> None:
    """Four trials leave it open by a factor of five; a thousand tell it to 4 %."""
    design = DesignErrors.of_full_design(LAYERS)
    enough = math.log1p(0.05) / (design.standard_errors * design.alone)  # for DEFAULT_BLOCKS blocks and 5 %
    said = {}
    for trials in (4, 1000):
        found = Resolved.by(Resolution(0.9 * enough, trials), design)
        scatter, effects, _, said[trials], _ = resolution_sentences(trials, found, Figure(1.02, (0.95, 1.1)))
        assert "no drift is shown: the last trial ran at 1.02x [0.95, 1.10]" in scatter
        ends, effect_ends = found.trial_sd.interval, found.smallest_main_effect.interval
        assert ends is not None
        assert effect_ends is not None
        assert all(f"{100 * end:.1f}%" in scatter for end in (0.9 * enough, *ends))
        assert all(f"{100 * (end - 1):.1f}%" in effects for end in effect_ends)
    assert said[1000] == "Can it detect one layer alone that changes the speed by 5%? Yes."
    assert "Probably; at the upper end of the scatter's interval, with --blocks" in said[4]


def simulated_errors(layers: Layers) -> dict[str, float]:
    """Scatter of the effects over many runs of pure noise of standard deviation 1, each fitted by least squares."""
    trials = make_trials(RunSpec(layers, ("full",), DEFAULT_BLOCKS, 0))
    numbers = sorted({number for trial in trials for number in trial.mini_blocks})
    blocks = [[(n in trial.mini_blocks) / len(trial.mini_blocks) for n in numbers] for trial in trials]
    cells = sorted({trial.layers for trial in trials})
    is_cell = [[float(trial.layers == cell) for cell in cells] for trial in trials]
    coded = [[0.5 if layer in trial.layers else -0.5 for layer in layers] for trial in trials]
    factors = [[*row, *(a * b for a, b in combinations(row, 2))] for row in coded]
    runs = np.random.default_rng(0).normal(size=(len(trials), RUNS))

    def fit(columns: list[list[float]]) -> Any:
        return np.linalg.lstsq(np.hstack((columns, blocks)), runs, rcond=None)[0]

    main = fit(factors)[: len(layers)]
    mean = dict(zip(cells, fit(is_cell), strict=False))

    def on(order: tuple[str, ...], count: int) -> Any:
        return mean[tuple(layer for layer in layers if layer in order[:count])]

    def shapley(layer: str) -> Any:
        orders = list(permutations(layers))
        return sum(on(o, o.index(layer) + 1) - on(o, o.index(layer)) for o in orders) / len(orders)

    return {
        "main_effect": max(effect.std() for effect in main),
        "shapley": max(shapley(layer).std() for layer in layers),
        "alone": max((mean[(layer,)] - mean[()]).std() for layer in layers),
    }


@pytest.mark.parametrize("layers", [LAYERS[:3], LAYERS, ("a", "b", "c", "d", "e", "f")], ids=len)
def test_errors_of_the_design_are_those_of_simulated_runs(layers: Layers) -> None:
    design, simulated = DesignErrors.of_full_design(layers), simulated_errors(layers)
    # The worst of some layers is picked twice, which of them may differ.
    assert {name: getattr(design, name) for name in simulated} == pytest.approx(simulated, rel=0.04)


def test_the_smallest_main_effect_is_found_in_about_80_percent() -> None:
    rng = np.random.default_rng(1)
    sigma = 0.05
    effect = math.log(Resolution(sigma, 12).smallest_main_effect(DesignErrors.of_full_design(LAYERS)))
    trials = make_trials(RunSpec(LAYERS, ("full",), DEFAULT_BLOCKS, 0))
    found = []
    for _ in range(200):
        observed = [
            Observation(t.key, t.layers, t.mini_blocks, math.exp(effect * ("a" in t.layers) + rng.normal(0, sigma)))
            for t in trials
        ]
        main = Effects(LAYERS, observed).main_effect("a")
        assert main is not None
        assert main.p is not None
        found.append(main.p < 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / 200))


def test_a_noisier_machine_needs_more_blocks_for_the_same_effect() -> None:
    """Four times the noise of one that needs three blocks: sixteen times as many."""
    design = DesignErrors.of_full_design(LAYERS)
    enough = math.log1p(0.05) / (design.standard_errors * design.alone)
    assert Resolution(0.999 * enough, 12).blocks_for(0.05, design) == DEFAULT_BLOCKS
    assert Resolution(3.999 * enough, 12).blocks_for(0.05, design) == 16 * DEFAULT_BLOCKS
    assert Resolution(enough / 100, 12).blocks_for(0.05, design) == 2

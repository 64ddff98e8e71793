"""What the doctor says a machine can tell apart, against simulated machines of known noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from m2bench.doctor import Resolution
from m2bench.effects import Effects, Observation
from m2bench.plan import make_trials
from m2bench.spec import RunSpec

LAYERS = ("a", "b", "c")


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_the_scatter_of_trials_is_found_whatever_the_drift(drift: float) -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(0, 0.05, 400) + drift * np.linspace(0, 1, 400)
    assert Resolution.from_speeds(list(np.exp(logs))).trial_sd == pytest.approx(0.05, rel=0.1)


def test_the_smallest_main_effect_is_found_in_about_80_percent() -> None:
    rng = np.random.default_rng(1)
    sigma = 0.05
    effect = math.log(Resolution(sigma, 12).smallest_main_effect(LAYERS))
    trials = make_trials(RunSpec(LAYERS, ("full",), 3, 0))
    found = []
    for _ in range(200):
        observed = [
            Observation(t.key, t.layers, t.mini_blocks, math.exp(effect * ("a" in t.layers) + rng.normal(0, sigma)))
            for t in trials
        ]
        main = Effects(LAYERS, observed).main_effect("a")
        assert main is not None
        found.append(main.p < 0.05)
    # Few layers and a level for every block cost some power.
    assert 0.65 <= np.mean(found) <= 0.9


def test_a_noisier_machine_needs_more_blocks_for_the_same_effect() -> None:
    assert Resolution(0.01, 12).blocks_for(0.05) == 2
    assert Resolution(0.10, 12).blocks_for(0.05) == math.ceil(2.8**2 * 0.01 * (10 / 9) / math.log(1.05) ** 2)

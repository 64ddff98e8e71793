"""A trainer in numpy, in float32, of which it is known what each layer does; and whole runs of it.

Linear regression by stochastic gradient descent: with a small rate the loss falls to its floor as exp(-2 x rate x
updates), so the samples that it takes go with the batch size over the rate.

``python tests/support/simulated_trainers.py 400`` prints how often runs find what of each layer.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from made_run import description_document, make_record, result
from numpy.typing import NDArray

from m2bench.findings.learning import Learning
from m2bench.findings.losses import CHECK, with_losses_compared
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.combinations import Layers
from m2bench.store.stored_trial import RunRecord, StoredTrial

Array = NDArray[np.float32]

SEEDS = 120
FEATURES, NOISE, RATE, BATCH = 16, 0.4, 0.016, 32
UPDATES = 120  # of a trial of the baseline


@dataclass(frozen=True)
class Planted:
    """What a layer does, over the baseline: its ``speed`` in samples, and how many times the ``samples`` it needs."""

    speed: float = 1.0
    samples: float = 1.0
    batch: int = BATCH
    rate: float = RATE
    predicts: float = 1.0
    in_halves: bool = False
    reshuffled: bool = False


LAYERS = {
    "exact": Planted(speed=1.2),
    "rounding": Planted(speed=1.2, in_halves=True),
    "percent": Planted(speed=1.2, predicts=1.01),
    "faster-rate": Planted(speed=1.2, rate=1.01 * RATE, samples=1 / 1.01),
    "reshuffled": Planted(speed=1.2, reshuffled=True),
    "half": Planted(speed=1.5, rate=RATE / 2, samples=2.0),
    "wide": Planted(speed=3.0, batch=4 * BATCH, rate=2 * RATE, samples=2.0),
}


@cache
def losses(layer: str | None) -> Array:
    """What every update tells with this layer alone, of shape (seeds, updates)."""
    does = LAYERS.get(layer or "", Planted())
    updates = int(1.1 * UPDATES * does.speed * BATCH / does.batch)
    rng = np.random.default_rng(0)
    truth, weights = rng.standard_normal((2, SEEDS, FEATURES, 1), np.float32) / np.float32(FEATURES**0.5)
    data = np.random.default_rng(2 if does.reshuffled else 1)
    told = np.empty((SEEDS, updates), np.float32)
    for update in range(updates):
        # In the baseline's portions, so that all see the same samples in the same order.
        portions = [_samples(data, truth) for _ in range(does.batch // BATCH)]
        x, y = (np.concatenate(parts, axis=1) for parts in zip(*portions, strict=True))
        errors = np.float32(does.predicts) * (x @ weights) - y
        told[:, update] = _mean(errors**2, does.in_halves)[:, 0]
        weights = weights - np.float32(2 * does.rate) * _mean(x * errors, does.in_halves)[..., None]
    return told


def _samples(data: np.random.Generator, truth: Array) -> tuple[Array, Array]:
    x = data.standard_normal((SEEDS, BATCH, FEATURES), np.float32)
    return x, x @ truth + np.float32(NOISE) * data.standard_normal((SEEDS, BATCH, 1), np.float32)


def _mean(values: Array, in_halves: bool) -> Array:
    """Over the batch; by halves it is rounded in other places."""
    half = values.shape[1] // 2
    mean: Array = (
        (values[:, half:].mean(axis=1) + values[:, :half].mean(axis=1)) / np.float32(2)
        if in_halves
        else values.mean(axis=1)
    )
    return mean


def record(
    layers: Sequence[str], blocks: int, number: int = 0, tolerances: dict[str, float] | None = None
) -> RunRecord:
    """A run of each of these layers alone, the how-manieth one."""
    spec = RunSpec(tuple(layers), ("single",), blocks, seed=number * blocks)
    document = description_document(spec.layers)
    document["workload"]["target"] = None
    document["system"] = {
        "unit": {"one": "sample", "many": "samples"},
        "facts": {},
        "no_target_because": "none is named",
    }
    for layer in document["layers"]:
        layer |= {"exact": False, "claim": None, "loss_tolerance": (tolerances or {}).get(layer["name"])}
    return make_record(spec, document)


Column = Callable[[int, np.random.Generator], int]
"""Which column of the losses a trial with this seed tells."""


def heeds_seed(seed: int, chance: np.random.Generator) -> int:
    return seed % SEEDS


def ignores_seed(seed: int, chance: np.random.Generator) -> int:
    return int(chance.integers(SEEDS))


def seeds_itself(seed: int, chance: np.random.Generator) -> int:
    return 7


def trials(made: RunRecord, column: Column = heeds_seed) -> list[StoredTrial]:
    """All speed trials of a run; how many updates each of them has scatters by 2 %."""
    chance = np.random.default_rng(made.spec.seed)
    return [
        StoredTrial(trial, "", 1.0, "ok", None, None, told(trial.layers, column(trial.seed, chance), chance))
        for trial in make_trials(made.spec)
    ]


def told(layers: Layers, column: int, chance: np.random.Generator) -> Any:
    """What a trial measures: its losses and samples, at the speed of its layer."""
    (layer,) = layers or (None,)
    does = LAYERS.get(layer or "", Planted())
    values = losses(layer)[column]
    updates = min(len(values), round(float(chance.normal(1, 0.02)) * UPDATES * does.speed * BATCH / does.batch))
    return replace(
        result(60_000 * does.speed * float(chance.normal(1, 0.01)), does.batch, numerics={}),
        losses=tuple(map(float, values[:updates])),
        update_units=(float(does.batch),) * updates,
    )


def rates(runs: int, blocks: int = 3) -> None:
    """Print how often each layer is found to compute and to learn what."""
    global SEEDS
    SEEDS = runs * blocks
    for column in (heeds_seed, ignores_seed):
        for layer in LAYERS:
            numerics, learning = Counter[bool | None](), Counter[str]()
            for number in range(runs):
                made = record([layer, "exact" if layer != "exact" else "rounding"], blocks, number)
                checked = with_losses_compared(made, trials(made, column))
                numerics[next(t.timed.numerics[CHECK].same for t in checked if t.spec.layers == (layer,))] += 1
                learning[Learning(made, checked).of_layer(layer).learning] += 1
            print(f"{column.__name__:14}{layer:13}{dict(numerics)!s:42}{dict(learning)}")


if __name__ == "__main__":
    rates(int(sys.argv[1]))

"""A sweep of an option of a layer: which trials it takes. Pure.

It comes after the speed trials, with the fastest combination that has the layer. Each block holds every size once in
random order between two baselines.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.run_spec import RunSpec
from m2bench.records.spec import TrialSpec
from m2bench.records.sweeps import Swept
from m2bench.records.trials import StoredTrial

from .learners import sound_speeds


def sweep_trials(spec: RunSpec, swept: Swept | None, stored: list[StoredTrial]) -> Iterator[TrialSpec]:
    """The trials of the sweep that are not stored yet; none where no sound combination has the layer."""
    layers = None if swept is None else swept_combination(swept, stored)
    if not spec.sweep or swept is None or layers is None:
        return
    done = {trial.spec.key for trial in stored}
    for block in range(1, spec.blocks + 1):
        sizes = sweep_sizes(spec, swept)
        random.Random(f"{spec.seed}/sweep/{block}").shuffle(sizes)
        seed = spec.seed + block - 1
        first, last = (TrialSpec(f"s{block}.anchor{n}", BASELINE, block, seed, "sweep", counts=False) for n in (0, 1))
        own = (
            TrialSpec(f"s{block}.{size}", layers, block, seed, "sweep", options={swept.by.option: size}, counts=False)
            for size in sizes
        )
        yield from (trial for trial in (first, *own, last) if trial.key not in done)


def sweep_sizes(spec: RunSpec, swept: Swept) -> list[int]:
    """The sizes of a sweep, that of the run among them."""
    return sorted({*spec.sweep, swept.own})


def swept_combination(swept: Swept, stored: list[StoredTrial]) -> Layers | None:
    """The fastest sound combination with the layer, or the one with which the sweep has begun."""
    begun = next((t.spec.layers for t in stored if t.spec.kind == "sweep" and t.spec.layers != BASELINE), None)
    speeds = {layers: speed for layers, speed in sound_speeds(stored).items() if swept.layer in layers}
    return begun or max(speeds, key=lambda layers: speeds[layers], default=None)

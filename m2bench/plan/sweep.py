"""A sweep of the number of environments: which trials it takes, and what they say. Pure.

It comes after the speed trials, with the fastest combination that has the layer whose size it is. Each block holds
every size once in random order between two baselines; a size's speedup is over the baselines of its own block. Three
blocks tell too little of the scatter of one size, so that of all sizes is taken together.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.spec import RunSpec, TrialSpec, swept_option
from m2bench.records.trials import StoredTrial

from .learners import sound_speeds


def sweep_trials(spec: RunSpec, stored: list[StoredTrial]) -> Iterator[TrialSpec]:
    """The trials of the sweep that are not stored yet; none where no sound combination has the layer."""
    layers = _swept(stored)
    if not spec.sweep or layers is None:
        return
    done = {trial.spec.key for trial in stored}
    for block in range(1, spec.blocks + 1):
        sizes = list(sweep_sizes(spec))
        random.Random(f"{spec.seed}/sweep/{block}").shuffle(sizes)
        seed = spec.seed + block - 1
        first, last = (TrialSpec(f"s{block}.anchor{n}", BASELINE, block, seed, "sweep", counts=False) for n in (0, 1))
        swept = (
            TrialSpec(f"s{block}.{size}", layers, block, seed, "sweep", num_envs=size, counts=False) for size in sizes
        )
        yield from (trial for trial in (first, *swept, last) if trial.key not in done)


def sweep_sizes(spec: RunSpec) -> list[int]:
    """The numbers of environments, that of the run among them; none where there is no sweep."""
    return sorted({*spec.sweep, int(spec.workload.options[swept_option().name] or 0)}) if spec.sweep else []


def _swept(stored: list[StoredTrial]) -> Layers | None:
    """The fastest sound combination with the layer, or the one with which the sweep has begun."""
    begun = next((t.spec.layers for t in stored if t.spec.kind == "sweep" and t.spec.layers != BASELINE), None)
    speeds = {layers: speed for layers, speed in sound_speeds(stored).items() if swept_option().layer in layers}
    return begun or max(speeds, key=lambda layers: speeds[layers], default=None)

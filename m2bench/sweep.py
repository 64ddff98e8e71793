"""A sweep of the number of environments: which trials it takes, and what they say. Pure.

It comes after the speed trials, with the fastest combination that has the layer whose size it is. Each block holds
every size once in random order between two baselines; a size's speedup is over the baselines of its own block.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from .effects import mean_ratio, named, typical
from .learning_plan import sound_speeds
from .spec import BASELINE, SWEPT_LAYER, Layers, RunSpec, TrialSpec
from .steady import steady_speed
from .store import StoredTrial

Document = dict[str, Any]


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
    return sorted({*spec.sweep, spec.workload.num_envs}) if spec.sweep else []


def _swept(stored: list[StoredTrial]) -> Layers | None:
    """The fastest sound combination with the layer, or the one with which the sweep has begun."""
    begun = next((t.spec.layers for t in stored if t.spec.kind == "sweep" and t.spec.layers != BASELINE), None)
    speeds = {layers: speed for layers, speed in sound_speeds(stored).items() if SWEPT_LAYER in layers}
    return begun or max(speeds, key=lambda layers: speeds[layers], default=None)


def summarize_sweep(spec: RunSpec, stored: list[StoredTrial]) -> Document | None:
    """Speed and memory by number of environments; None for a run without a sweep."""
    if not spec.sweep:
        return None
    trials = [trial for trial in stored if trial.spec.kind == "sweep"]
    baselines: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.spec.layers == BASELINE and trial.status == "ok":
            baselines[trial.spec.block].append(math.log(steady_speed(trial.result)))
    sizes = [
        _summarize_size(size, [t for t in trials if t.spec.num_envs == size], baselines) for size in sweep_sizes(spec)
    ]
    rated = [size for size in sizes if size["speedup"] is not None]
    layers = _swept(stored)
    return {
        "layers": None if layers is None else list(layers),
        "sizes": sizes,
        "best": max(rated, key=lambda size: float(size["speedup"]), default=None),
    }


def _summarize_size(size: int, trials: list[StoredTrial], baselines: dict[int, list[float]]) -> Document:
    bad = next((t for t in trials if t.status != "ok"), None)
    changed = [t for t in trials if t.status == "ok" and not all(gate["same"] for gate in t.result["gates"].values())]
    good = [] if bad or changed else [trial for trial in trials if trial.spec.block in baselines]
    ratio = mean_ratio([math.log(steady_speed(t.result)) - fmean(baselines[t.spec.block]) for t in good])
    memory = [t.result["peak_memory_mb"] for t in good]
    reason = f"{bad.status}: {bad.reason}" if bad else "computes something else" if changed else None
    return {
        "num_envs": size,
        "reason": reason if trials else "not run yet",
        **named("episodes_per_min", typical(steady_speed(t.result) for t in good)),
        **named("speedup", ratio),
        **named("peak_memory_mb", typical(m["host"] if m["device"] is None else m["device"] for m in memory)),
    }

"""What the trials of a sweep say: speed and memory by number of environments. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from m2bench.plan.sweep import _swept, sweep_sizes
from m2bench.records.combinations import BASELINE
from m2bench.records.spec import RunSpec
from m2bench.records.trials import StoredTrial
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import Estimate, named, typical
from m2bench.statistics.steady import steady_speed

OUTSIDE = 0.05  # of intervals


Document = dict[str, Any]


BySize = Mapping[int, Mapping[int, float]]
"""By number of environments and block."""


def summarize_sweep(spec: RunSpec, stored: list[StoredTrial]) -> Document | None:
    """Speed and memory by number of environments; None for a run without a sweep."""
    if not spec.sweep:
        return None
    trials = [trial for trial in stored if trial.spec.kind == "sweep"]
    baselines: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.spec.layers == BASELINE and trial.status == "ok":
            baselines[trial.spec.block].append(math.log(steady_speed(trial.timed)))
    found = {size: _good_trials(trials, size, baselines) for size in sweep_sizes(spec)}
    levels = {size: {t.spec.block: math.log(steady_speed(t.timed)) for t in good} for size, (good, _) in found.items()}
    levels = {size: logs for size, logs in levels.items() if logs}
    over = {
        size: {block: log - fmean(baselines[block]) for block, log in logs.items()} for size, logs in levels.items()
    }
    speeds, speedups = pooled(levels), pooled(over)
    sizes = [
        {
            "num_envs": size,
            "reason": reason,
            **named("episodes_per_min", speeds.get(size)),
            **named("speedup", speedups.get(size)),
            **named("peak_memory_mb", typical(trial.timed.peak_memory_mb.main_mb for trial in good)),
        }
        for size, (good, reason) in found.items()
    ]
    rated = [size for size in sizes if size["speedup"] is not None]
    best = max(rated, key=lambda size: float(size["speedup"]), default=None)
    layers = _swept(stored)
    return {
        "layers": None if layers is None else list(layers),
        "sizes": sizes,
        "best": best,
        "rivals": [] if best is None else rivals(over, best["num_envs"]),
    }


def _good_trials(
    trials: list[StoredTrial], size: int, baselines: Mapping[int, list[float]]
) -> tuple[list[StoredTrial], str | None]:
    """The trials of a size that its figures rest on, or why there are none."""
    own = [trial for trial in trials if trial.spec.num_envs == size]
    bad = next((trial for trial in own if trial.status != "ok"), None)
    if not own:
        return [], "not run yet"
    if bad is not None:
        return [], f"{bad.status}: {bad.reason}"
    if not all(trial.timed.same_numerics for trial in own):
        return [], "computes something else"
    return [trial for trial in own if trial.spec.block in baselines], None


@dataclass(frozen=True)
class Scatter:
    """Mean squares of a table of sizes and blocks: of the blocks, which all sizes share, and of what is left."""

    sizes: int
    blocks: int
    shared: float
    rest: float

    @classmethod
    def of(cls, logs: BySize) -> Scatter | None:
        """From the blocks in which every size was measured; None where these are fewer than two."""
        blocks = sorted(set.intersection(*(set(by_block) for by_block in logs.values()))) if logs else []
        if len(blocks) < 2:
            return None
        table = np.array([[by_block[block] for block in blocks] for by_block in logs.values()])
        by_block = table.mean(axis=0)
        left = table - by_block - table.mean(axis=1, keepdims=True) + table.mean()
        degrees = (len(logs) - 1) * (len(blocks) - 1)
        shared = len(logs) * float(by_block.var(ddof=1))
        return cls(len(logs), len(blocks), shared, float((left**2).sum()) / degrees if degrees else 0.0)

    def of_one(self) -> tuple[float, float]:
        """Variance of one trial and its degrees of freedom (Satterthwaite, "An approximate distribution of estimates
        of variance components", 1946): blocks are few, and what they share is known less well than the rest.
        """
        rest = (self.sizes - 1) * self.rest
        total, parts = self.shared + rest, self.shared**2 + (rest**2 / (self.sizes - 1) if rest else 0.0)
        return total / self.sizes, (self.blocks - 1) * (total**2 / parts if parts else 1.0)


def pooled(logs: BySize) -> dict[int, Estimate]:
    """The geometric mean of each size from its logarithms by block.

    The intervals hold for all sizes at once (Bonferroni), so also for one that is chosen since it looks best.
    """
    scatter = Scatter.of(logs)
    return {size: _pooled(list(by_block.values()), scatter) for size, by_block in logs.items()}


def _pooled(logs: list[float], scatter: Scatter | None) -> Estimate:
    mean = fmean(logs)
    if scatter is None:
        return Estimate(math.exp(mean))
    variance, degrees = scatter.of_one()
    se = math.sqrt(variance / len(logs))
    half = t_quantile(1 - OUTSIDE / (2 * scatter.sizes), degrees) * se
    return Estimate(math.exp(mean), (math.exp(mean - half), math.exp(mean + half)), se, None, int(degrees))


def rivals(logs: BySize, best: int) -> list[int]:
    """The sizes that are not shown to be slower than the best, all pairs of sizes being compared at once."""
    scatter, others = Scatter.of(logs), [size for size in logs if size != best]
    if scatter is None or not others:
        return others
    pairs = scatter.sizes * (scatter.sizes - 1) / 2
    reach = t_quantile(1 - OUTSIDE / (2 * pairs), (scatter.sizes - 1) * (scatter.blocks - 1))
    least = reach * math.sqrt(2 * scatter.rest / scatter.blocks)
    means = {size: fmean(by_block.values()) for size, by_block in logs.items()}
    return [size for size in others if means[best] - means[size] <= least]

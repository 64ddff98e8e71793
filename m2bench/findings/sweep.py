"""What the trials of a sweep say: speed and memory by size. Pure.

A size's speedup is over the baselines of its own block. Three blocks say too little about the scatter of one size, so
the scatter of all sizes is pooled. In the summary ``num_envs`` is the size, whatever the system calls its option.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from m2bench.plan.sweep import sweep_sizes, swept_combination
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Unit
from m2bench.records.run_spec import RunSpec
from m2bench.records.summary import Sweep, SweepSize
from m2bench.records.sweeps import Swept
from m2bench.records.trials import StoredTrial
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import Estimate, figure_of, typical

from .responses import speed

OUTSIDE = 0.05  # of intervals


BySize = Mapping[int, Mapping[int, float]]
"""By size and block."""


def summarize_sweep(spec: RunSpec, swept: Swept | None, stored: list[StoredTrial]) -> Sweep | None:
    """Speed and memory by size; None for a run without a sweep."""
    if not spec.sweep or swept is None:
        return None
    trials = [trial for trial in stored if trial.spec.kind == "sweep"]
    baselines: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.spec.layers == BASELINE and trial.status == "ok":
            baselines[trial.spec.block].append(math.log(speed(trial)))
    option = swept.by.option
    by_size = {size: [t for t in trials if t.spec.options.get(option) == size] for size in sweep_sizes(spec, swept)}
    found = {size: _good_trials(own, baselines) for size, own in by_size.items()}
    levels = {size: {t.spec.block: math.log(speed(t)) for t in good} for size, (good, _) in found.items()}
    levels = {size: logs for size, logs in levels.items() if logs}
    over = {
        size: {block: log - fmean(baselines[block]) for block, log in logs.items()} for size, logs in levels.items()
    }
    speeds, speedups = pooled(levels), pooled(over)
    sizes = tuple(
        SweepSize(
            num_envs=size,
            reason=reason,
            episodes_per_min=figure_of(speeds.get(size)),
            speedup=figure_of(speedups.get(size)),
            peak_memory_mb=figure_of(typical(mb for t in good if (mb := t.timed.peak_memory_mb.main_mb) is not None)),
        )
        for size, (good, reason) in found.items()
    )
    fastest = max(speedups, key=lambda size: speedups[size].ratio, default=None)
    best = next((size for size in sizes if size.num_envs == fastest), None)
    return Sweep(
        Unit(swept.by.one, swept.by.many),
        swept_combination(swept, stored),
        sizes,
        best,
        () if fastest is None else tuple(rivals(over, fastest)),
    )


def _good_trials(own: list[StoredTrial], baselines: Mapping[int, list[float]]) -> tuple[list[StoredTrial], str | None]:
    """Those trials of a size that its figures rest on, or why there are none."""
    bad = next((trial for trial in own if trial.status != "ok"), None)
    if not own:
        return [], "not run yet"
    if bad is not None:
        return [], f"{bad.status}: {bad.reason}"
    if not all(trial.timed.same_numerics for trial in own):
        return [], "numerics changed"
    return [trial for trial in own if trial.spec.block in baselines], None


@dataclass(frozen=True)
class SweepScatter:
    """Mean squares of a table of sizes and blocks: of the blocks, which all sizes share, and of what is left."""

    sizes: int
    blocks: int
    shared: float
    rest: float

    @classmethod
    def of(cls, logs: BySize) -> SweepScatter | None:
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

    The intervals hold for all sizes at once (Bonferroni), so also for one that is chosen because it looks best.
    """
    scatter = SweepScatter.of(logs)
    return {size: _pooled(list(by_block.values()), scatter) for size, by_block in logs.items()}


def _pooled(logs: list[float], scatter: SweepScatter | None) -> Estimate:
    mean = fmean(logs)
    if scatter is None:
        return Estimate(math.exp(mean))
    variance, degrees = scatter.of_one()
    se = math.sqrt(variance / len(logs))
    half = t_quantile(1 - OUTSIDE / (2 * scatter.sizes), degrees) * se
    return Estimate(math.exp(mean), (math.exp(mean - half), math.exp(mean + half)), se, None, int(degrees))


def rivals(logs: BySize, best: int) -> list[int]:
    """The sizes that are not shown to be slower than the best, all pairs of sizes being compared at once."""
    scatter, others = SweepScatter.of(logs), [size for size in logs if size != best]
    if scatter is None or not others:
        return others
    pairs = scatter.sizes * (scatter.sizes - 1) / 2
    reach = t_quantile(1 - OUTSIDE / (2 * pairs), (scatter.sizes - 1) * (scatter.blocks - 1))
    least = reach * math.sqrt(2 * scatter.rest / scatter.blocks)
    means = {size: fmean(by_block.values()) for size, by_block in logs.items()}
    return [size for size in others if means[best] - means[size] <= least]

"""Two runs side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.figure import Figure
from m2bench.records.same_machine import differing, identity
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.homogeneity import change
from m2bench.statistics.sequential import JOB_LEVEL_SD, JOB_SD, difference
from m2bench.statistics.steady import steady_speed
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

from .responses import sound_trials
from .shared_by_runs import ALONE, EFFECTS, comparable_runs, over_common


@dataclass(frozen=True)
class ComparedLayer:
    """One effect of a layer in both runs, and the second over the first."""

    layer: str
    effect: str
    a: Figure | None
    b: Figure | None
    change: Figure | None


@dataclass(frozen=True)
class ComparedCombination:
    """A combination's speedup over its own run's baseline in both runs, and the second over the first."""

    layers: Layers
    a: Figure | None
    b: Figure | None
    change: Figure | None


@dataclass(frozen=True)
class BaselineChange:
    """The baseline's episodes/min in the second run over those in the first."""

    change: Figure | None


@dataclass(frozen=True)
class ComparedRuns:
    """Two runs side by side, by their names ``a`` and ``b``. ``absolute`` is None where the machines differ."""

    a: str
    b: str
    same_machine: bool
    machines_differ_in: tuple[str, ...]
    absolute: BaselineChange | None
    layers: tuple[ComparedLayer, ...]
    combinations: tuple[ComparedCombination, ...]


def compare_runs(a: Store, b: Store) -> ComparedRuns:
    """Compare run ``b`` with run ``a``: ratios of layers and combinations, and absolute speeds on one machine.

    Every combination is compared with itself. Layers are compared over the combinations that both runs have, since an
    average over other ones is another quantity. A run is one job at one time. What that does to all of its trials does
    not show in their scatter, so every change allows for it (JOB_SD, JOB_LEVEL_SD).

    Raises UserError when the runs trained different things, or are no ablations.
    """
    runs = comparable_runs((a, b))
    effects = over_common([run.effects for run in runs])
    other = tuple(differing(*(identity(run.record.description) for run in runs)))
    first, second = (run.record.spec.layers for run in runs)
    layers = [layer for layer in first if layer in second]
    return ComparedRuns(
        a=a.folder.resolve().name,
        b=b.folder.resolve().name,
        same_machine=not other,
        machines_differ_in=other,
        absolute=None if other else BaselineChange(figure_of(_absolute(*(_anchors(run.trials) for run in runs)))),
        layers=tuple(found for layer in layers for found in _compare_layer(layer, *effects)),
        combinations=tuple(_compare_combination(c, *effects) for c in effects[0].cells if c in effects[1].cells),
    )


def _anchors(trials: list[StoredTrial]) -> list[float]:
    """The mean log episodes/min of the baselines of each block."""
    blocks: dict[int, list[float]] = defaultdict(list)
    for trial in sound_trials(trials):
        if trial.spec.layers == BASELINE:
            blocks[trial.spec.block].append(math.log(steady_speed(trial.timed)))
    return [fmean(logs) for logs in blocks.values()]


def _absolute(a: list[float], b: list[float]) -> Estimate | None:
    """The ratio of the baselines' speeds, with Welch's interval over blocks, widened by the scatter between jobs."""
    if not a or not b:
        return None
    if min(len(a), len(b)) < 2:
        return Estimate(math.exp(fmean(b) - fmean(a)))
    found = difference(b, a, JOB_LEVEL_SD)
    return Estimate.from_log(found.value, found.se, int(found.degrees))


def _compare_layer(layer: str, a: Effects, b: Effects) -> list[ComparedLayer]:
    """The layer's Shapley value and main effect in both, or its effect alone where a design gives neither."""
    figures = {name: (of(a, layer), of(b, layer)) for name, of in EFFECTS.items()}
    averages = [name for name, pair in figures.items() if name != ALONE and None not in pair]
    return [
        ComparedLayer(layer, name, figure_of(first), figure_of(second), figure_of(_over(second, first)))
        for name, (first, second) in figures.items()
        if name in (averages or [ALONE])
    ]


def _compare_combination(layers: Layers, a: Effects, b: Effects) -> ComparedCombination:
    first, second = a.ratio(layers), b.ratio(layers)
    return ComparedCombination(layers, figure_of(first), figure_of(second), figure_of(_over(second, first)))


def _over(b: Estimate | None, a: Estimate | None) -> Estimate | None:
    """One run's ratio over the other's. Most of what a job does to its trials cancels in a ratio; JOB_SD is left."""
    if a is None or b is None:
        return None
    return change(b, a, JOB_SD)

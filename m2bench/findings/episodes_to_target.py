"""How many episodes a combination takes to the learning target, and how much more or fewer than another. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, variance

from m2bench.plan.learners import Cell, make_cells
from m2bench.records.combinations import Layers
from m2bench.statistics.estimate import ROUNDING, Estimate, mean_ratio
from m2bench.statistics.learning_curve import ROUNDING_VARIANCE
from m2bench.store.stored_trial import StoredTrial

from .layer_learning import LayerLearning, in_cells
from .learning_verdict import BySeed


@dataclass(frozen=True)
class Source:
    """Where the episodes to target of a combination come from.

    ``cell``: a trained cell. ``layers``: those that the combination has and the cell lacks (1), or the reverse (-1).
    Each multiplies the episodes by the ratio that was measured for it in other cells.
    """

    cell: Cell
    layers: dict[str, int]


def mean_episodes(logs: list[float], rounding: float) -> Estimate | None:
    """The geometric mean over seeds from their logarithms, with the interval of ``t_interval`` from two seeds on."""
    if len(logs) < 2:
        return mean_ratio(logs)
    return Estimate.from_log(fmean(logs), math.sqrt((variance(logs) + rounding) / len(logs)), len(logs) - 1)


class EpisodesToTarget:
    """The episodes to the target of all combinations of a run, from its learning trials and what its layers change."""

    def __init__(self, layers: LayerLearning, trials: list[StoredTrial]):
        self._layers = layers
        self.cells = make_cells(layers.apart, trials)
        self.by_cell = in_cells(self.cells, layers.trials)

    def needed(self, layer: str) -> Estimate | None:
        """Episodes to the target with the layer alone over those of the baseline.

        Where nobody trained the layer alone, from the trials in which it was added to other layers.
        """
        alone, below = self._layers.spec.rules.alone(layer, self._layers.spec.layers)
        found = self._layers.judged[layer]
        log_ratios = list(found.log_ratios.values())
        stood_in_for = layer not in self._layers.exact and self.cells.of(alone) not in self.by_cell and log_ratios
        if self._layers.told is not None or stood_in_for:
            return mean_episodes(log_ratios, found.rounding) if found.all_arrived else None
        return self.ratio(alone, below)

    def of(self, layers: Layers) -> tuple[Estimate | None, str | None]:
        """Geometric mean over seeds with its interval, or why there is none."""
        if self._layers.target is None:
            return None, self._layers.no_target_because
        if layers not in self._layers.speeds:
            return None, "a speed trial failed or does not compute the same"
        source = self.source(layers)
        if source is None:
            return (
                None,
                "no learning trial stands for it: one of its layers was not trained at these "
                f"{self._layers.unit.many} per update",
            )
        trials = self.by_cell[source.cell]
        missing = [trial for trial in trials if trial.episodes_to_target is None]
        if missing:
            return None, f"{len(missing)} of {len(trials)} learning trials did not reach the target"
        return self.contrast({layers: 1.0}), None

    def ratio(self, over: Layers, under: Layers) -> Estimate | None:
        """Episodes to the target of one combination over those of another, paired by seed."""
        return self.contrast({over: 1.0, under: -1.0}) if over != under else self.contrast({over: 0.0})

    def contrast(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """exp(sum of weight x log episodes to target) over combinations, paired by seed; None when one has none.

        Contributions of combinations that learn the same cancel exactly.
        """
        terms: dict[Cell | str, float] = defaultdict(float)
        for layers, weight in weights.items():
            source = self.source(layers)
            if source is None or any(trial.episodes_to_target is None for trial in self.by_cell[source.cell]):
                return None
            terms[source.cell] += weight
            for layer, sign in source.layers.items():
                terms[layer] += sign * weight
        logs = {
            term: self._layers.comparisons[term].log_ratios if isinstance(term, str) else self._log_arrivals(term)
            for term, weight in terms.items()
            if abs(weight) > ROUNDING
        }
        if not logs:
            return Estimate(1.0, (1.0, 1.0), 0.0, None, 1)
        seeds = sorted(set.intersection(*(set(by_seed) for by_seed in logs.values())))
        sums = [sum(terms[term] * by_seed[seed] for term, by_seed in logs.items()) for seed in seeds]
        arrivals = sum(weight**2 * (2 if isinstance(term, str) else 1) for term, weight in terms.items())
        return mean_episodes(sums, arrivals * ROUNDING_VARIANCE)

    def _log_arrivals(self, cell: Cell) -> BySeed:
        by_seed = defaultdict(list)
        for trial in self.by_cell[cell]:
            arrived = trial.episodes_to_target
            if arrived is not None:
                by_seed[trial.spec.seed].append(math.log(arrived))
        return {seed: fmean(values) for seed, values in by_seed.items()}

    def source(self, layers: Layers) -> Source | None:
        """The trained cell that stands for the combination, or a model of main effects; None where there is neither."""
        cell, own = self._trained_cell(layers), self.cells.of(layers)
        if cell is not None:
            return Source(cell, {})
        if own is None or layers not in self._layers.speeds:
            return None
        known = [layer for layer, found in self._layers.comparisons.items() if found.log_ratios and found.all_arrived]
        taking_part = self._layers.spec.layers
        sources = [
            Source(cell, {layer: 1 if layer in own.apart else -1 for layer in differing})
            for cell in self.by_cell
            if cell.episodes_per_update == own.episodes_per_update
            and (differing := [layer for layer in taking_part if (layer in own.apart) != (layer in cell.apart)])
            and set(differing) <= set(known)
        ]
        return min(sources, key=lambda source: len(source.layers), default=None)

    def _trained_cell(self, layers: Layers) -> Cell | None:
        """The combination's own cell, or the plainest that differs from it only by layers that learn the same."""
        own = self.cells.of(layers)
        if own is None or layers not in self._layers.speeds:
            return None
        if own in self.by_cell:
            return own
        standing_in = [
            cell
            for cell in self.by_cell
            if cell.episodes_per_update == own.episodes_per_update
            and all(self._layers.verdicts[layer].verdict == "same" for layer in {*cell.apart} ^ {*own.apart})
        ]
        return min(standing_in, key=lambda cell: len(cell.apart), default=None)

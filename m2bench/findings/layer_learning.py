"""What the layers do to learning: compared with and without each, and judged. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from m2bench.plan.learners import Cell, Cells, make_cells, sound_speeds
from m2bench.records.combinations import Layers, smallest_first
from m2bench.statistics.learning_curve import distance, setbacks
from m2bench.store.stored_trial import RunRecord, StoredTrial

from .learning_verdict import SIGNIFICANCE, BySeed, LearningEffects, LearningVerdict, judge_learning, t_interval
from .reported_learning import ToldLearning, told_measure

TrialsByCell = dict[Cell, list[StoredTrial]]


@dataclass(frozen=True)
class Setbacks:
    """How steady learning is: the share of the return's movement that goes down, as a mean over seeds.

    ``without``: of the baseline. ``with_it``: of the layer alone. ``interval``: of their difference, seed by seed.
    """

    without: float
    with_it: float
    interval: tuple[float, float]
    seeds: int


class LayerLearning:
    """What each layer of a run does to learning, by trials with and without it, and the verdict on that."""

    def __init__(self, record: RunRecord, trials: list[StoredTrial]):
        self.spec = record.spec
        self.target = record.description.workload.target
        self.unit = record.description.system.unit
        self.no_target_because = record.description.system.no_target_because
        exact = {layer.name for layer in record.description.layers if layer.exact}
        self.exact: Layers = tuple(layer for layer in self.spec.layers if layer in exact)
        self.speeds = sound_speeds(trials)
        self.trials = [trial for trial in trials if trial.spec.kind == "learning"]
        not_exact = tuple(layer for layer in self.spec.layers if layer not in self.exact)
        full = self.spec.learning == "full"
        self._cells = make_cells(self.spec.layers if full else not_exact, trials)
        self._by_cell = in_cells(self._cells, self.trials)
        self.comparisons = {layer: self._compare(layer) for layer in self.spec.layers}
        self.told = self._told(trials)
        self.judged = self.comparisons
        if self.told is not None:
            self.judged = {layer: self.told.compare(layer) for layer in self.spec.layers}
        several = sum(len(found.distances) > 1 for found in self.judged.values())
        self.verdicts = {layer: self._judge(layer, found, several) for layer, found in self.judged.items()}

    def _told(self, trials: list[StoredTrial]) -> ToldLearning | None:
        """Learning by what the speed trials report, used where learning trials compare fewer than two seeds."""
        measure, off = told_measure(trials), self.spec.learning == "off"
        if measure is None or off or any(len(found.distances) > 1 for found in self.comparisons.values()):
            return None
        return ToldLearning(self.spec.layers, trials, measure)

    @property
    def apart(self) -> Layers:
        """The layers whose trials are not pooled with others: those not proved to learn the same, or whose proof was
        refuted.
        """
        refuted = {layer for layer in self.exact if self._proved(layer) and self.verdicts[layer].verdict == "changed"}
        return tuple(layer for layer in self.spec.layers if layer in refuted or layer not in self.exact)

    def _compare(self, layer: str) -> LearningEffects:
        distances, log_ratios = defaultdict(list), defaultdict(list)
        all_arrived = True
        for cell, other in self._neighbours(layer):
            pairs = [
                (without, with_it)
                for without in self._by_cell.get(cell, ())
                for with_it in self._by_cell.get(other, ())
                if cell != other and without.spec.seed == with_it.spec.seed
            ]
            for without, with_it in pairs:
                if without.learned and with_it.learned and without.status == with_it.status == "ok":
                    apart = distance(without.learned.curve, with_it.learned.curve) / self._worth
                    distances[without.spec.seed].append(apart)
                arrivals = without.episodes_to_target, with_it.episodes_to_target
                if arrivals[0] is not None and arrivals[1] is not None:
                    log_ratios[without.spec.seed].append(math.log(arrivals[1] / arrivals[0]))
                else:
                    all_arrived = False
        return LearningEffects(
            {seed: fmean(values) for seed, values in distances.items()},
            {seed: fmean(values) for seed, values in log_ratios.items()},
            all_arrived,
        )

    @cached_property
    def _worth(self) -> float:
        """What there is to learn; below 0 where less is better."""
        assert self.target is not None
        if self.target.good_return is not None and self.target.ignorant_return is not None:
            return self.target.good_return - self.target.ignorant_return
        return self.target.value - fmean(t.learned.curve[0].mean_return for t in self.trials if t.learned)

    def _neighbours(self, layer: str) -> list[tuple[Cell, Cell]]:
        """The cells of measured combinations without and with the layer, each pair once."""
        pairs: dict[tuple[Cell, Cell], None] = {}
        for layers in smallest_first(self._cells.episodes_per_update, self.spec.layers):
            added = tuple(name for name in self.spec.layers if name in layers or name == layer)
            cell, other = self._cells.of(layers), self._cells.of(added)
            if layer not in layers and cell is not None and other is not None:
                pairs[cell, other] = None
        return list(pairs)

    def _proved(self, layer: str) -> bool:
        """Whether the numerics checks prove the layer: it is held to rounding, and keeps the episodes per update."""
        pairs = self._neighbours(layer)
        same_size = all(cell.episodes_per_update == other.episodes_per_update for cell, other in pairs)
        return layer in self.exact and bool(pairs) and same_size

    @property
    def spoiling(self) -> Layers:
        """The layers that change learning although they keep the episodes per update."""
        return tuple(
            layer
            for layer in self.spec.layers
            if self.verdicts[layer].verdict == "changed"
            and all(a.episodes_per_update == b.episodes_per_update for a, b in self._neighbours(layer))
        )

    def _judge(self, layer: str, found: LearningEffects, judged: int) -> LearningVerdict:
        if self.target is None and self.told is None and layer not in self.exact:
            return LearningVerdict("not told", f"not measured: {self.no_target_because}")
        measured = judge_learning(found, judged, self.unit)
        if not self._proved(layer) or measured.verdict == "changed":
            return measured
        unsound = [c for c in self._cells.episodes_per_update if layer in c and c not in self.speeds]
        if unsound:
            return LearningVerdict(
                "undecided", f"not proved: {len(unsound)} of its combinations failed or do not compute the same"
            )
        proof = f"proved by equal gradients, actions, updates and {self.unit.many}"
        return LearningVerdict("same", proof, measured.effect, measured.seeds)

    def setbacks(self, layer: str) -> Setbacks | None:
        """How steadily the layer alone learns, against the baseline; None where fewer than two seeds trained both."""
        alone, below = self.spec.rules.alone(layer, self.spec.layers)
        cells = self._cells.of(below), self._cells.of(alone)
        falls = self.target is not None and self.target.falls
        without, with_it = ({} if cell is None else _setbacks(self._by_cell.get(cell, []), falls) for cell in cells)
        seeds = sorted(set(without) & set(with_it))
        if len(seeds) < 2 or cells[0] == cells[1]:
            return None
        interval = t_interval([with_it[seed] - without[seed] for seed in seeds], SIGNIFICANCE)
        plain, layered = (fmean(found[seed] for seed in seeds) for found in (without, with_it))
        return Setbacks(plain, layered, interval, len(seeds))


def in_cells(cells: Cells, trials: Sequence[StoredTrial]) -> TrialsByCell:
    """The learning trials of each cell. One that failed counts as one that did not reach the target."""
    by_cell: TrialsByCell = defaultdict(list)
    for trial in trials:
        cell = cells.of(trial.spec.layers)
        if cell is not None and trial.status in ("ok", "failed"):
            by_cell[cell].append(trial)
    return dict(by_cell)


def _setbacks(trials: list[StoredTrial], falls: bool) -> BySeed:
    """By seed, for the trials that ended well."""
    found = {t.spec.seed: setbacks(t.learned.curve, falls) for t in trials if t.status == "ok" and t.learned}
    return {seed: share for seed, share in found.items() if share is not None}

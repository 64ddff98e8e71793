"""What the layers do to learning, by the losses or returns of the speed trials, where no target is named. Pure.

Trials that share their seed and differ in one layer alone are compared over as many units as both processed: by their
mean loss up to there, and by how many times the units one needs for the mean loss of the other (mean_so_far.py).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np

from m2bench.records.combinations import BASELINE, Layers, smallest_first
from m2bench.records.results import TrialResult
from m2bench.statistics.first_updates import FIRST_UPDATES
from m2bench.statistics.mean_so_far import Fall, MeanSoFar, units_ratio
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.ablation_summary import ToldCurve

from .learning_verdict import LearningEffects

LOSS, RETURN = "loss", "return"
POINTS = 20  # of a curve, each a mean of more updates than the one before
SHOWN = 3.0  # standard errors of what is learned, by the scatter of single updates: less is not shown


def told_measure(trials: Sequence[StoredTrial]) -> str | None:
    """How learning is measured: by the return if the updates report one, else by the loss; None if they report neither.

    A return counts only where the units of every update are reported as well.
    """
    timed = [trial.timed for trial in trials if trial.spec.kind == "speed" and trial.result]
    if any(result.training_return and result.update_units for result in timed):
        return RETURN
    return LOSS if any(result.losses for result in timed) else None


class ToldLearning:
    """The speed trials of a run that report ``measure``, compared with and without each layer."""

    def __init__(self, layers: Layers, trials: Sequence[StoredTrial], measure: str):
        self.measure = measure
        self._layers = layers
        self._by_layers: dict[Layers, dict[int, list[MeanSoFar]]] = defaultdict(lambda: defaultdict(list))
        told = [t for t in trials if t.spec.kind == "speed" and t.status == "ok" and _told(t.timed, measure)]
        alike = _alike(told, measure)
        for trial in told:
            self._by_layers[trial.spec.layers][alike[trial.spec.seed]].append(_mean_so_far(trial.timed, measure))

    def compare(self, layer: str) -> LearningEffects:
        """The layer's effects, seed by seed."""
        apart, log_ratios = defaultdict(list), defaultdict(list)
        falls: dict[int, list[Fall]] = defaultdict(list)
        all_arrived = True
        for seed, without, with_it in self._pairs(layer):
            units = min(without.end, with_it.end)
            apart[seed].append(without.after(units) - with_it.after(units))
            falls[seed].append(without.fall(units))
            ratio = units_ratio(without, with_it, units)
            if ratio is None:
                all_arrived = False
            else:
                log_ratios[seed].append(math.log(ratio))
        learned = [Fall(fmean(x.size for x in own), fmean(x.error for x in own)) for own in falls.values()]
        nothing = self._nothing(learned)
        worth = math.nan if nothing else fmean(fall.size for fall in learned)
        return LearningEffects(
            {} if nothing else {seed: value / worth for seed, value in _means(apart).items()},
            {} if nothing else _means(log_ratios),
            all_arrived,
            curves=f"mean {self.measure} so far",
            arrival=f"for the same mean {self.measure}",
            rounding=0.0,
            nothing=nothing,
        )

    def curves(self) -> Iterator[ToldCurve]:
        """Of every combination, over the units that all its trials processed."""
        sign = 1 if self.measure == LOSS else -1
        for layers, by_seed in self._by_layers.items():
            trials = [trial for own in by_seed.values() for trial in own]
            first, end = max(float(trial.ends[0]) for trial in trials), min(trial.end for trial in trials)
            if first < end:
                points = [0.0, *map(float, np.geomspace(first, end, POINTS))]
                means = [sign * fmean(t.between(*ends) for t in trials) for ends in pairwise(points)]
                yield ToldCurve(layers, len(trials), tuple(zip(points[1:], means, strict=True)))

    def _nothing(self, learned: list[Fall]) -> str | None:
        """Why there is nothing to compare: the loss is not shown to fall, or the return to rise. One value per seed."""
        if len(learned) < 2:
            return f"{len(learned)} {'seed' if len(learned) == 1 else 'seeds'} compared, at least two are needed"
        if sum(fall.size for fall in learned) > SHOWN * math.hypot(*(fall.error for fall in learned)):
            return None
        return f"the {self.measure} is not shown to {'fall' if self.measure == LOSS else 'rise'} in trials this short"

    def _pairs(self, layer: str) -> Iterator[tuple[int, MeanSoFar, MeanSoFar]]:
        """Trials without and with the layer, beside the same others and with the same seed."""
        for layers in smallest_first(self._by_layers, self._layers):
            added = tuple(name for name in self._layers if name in layers or name == layer)
            if layer in layers or added not in self._by_layers:
                continue
            for seed, trials in self._by_layers[layers].items():
                yield from (
                    (seed, without, with_it) for without in trials for with_it in self._by_layers[added].get(seed, ())
                )


def _told(result: TrialResult, measure: str) -> Sequence[float | None]:
    return result.losses if measure == LOSS else result.training_return


def _mean_so_far(result: TrialResult, measure: str) -> MeanSoFar:
    told = _told(result, measure)
    falling = told if measure == LOSS else [None if value is None else -value for value in told]
    return MeanSoFar.of(falling, result.update_units or [result.episodes_per_update] * len(told))


def _alike(trials: Sequence[StoredTrial], measure: str) -> dict[int, int]:
    """For each seed, the first one with which the baseline reports the same values.

    Such seeds are one observation, as of a trainer that takes no seed.
    """
    first: dict[tuple[float | None, ...], int] = {}
    for trial in trials:
        if trial.spec.layers == BASELINE:
            first.setdefault(tuple(_told(trial.timed, measure)[:FIRST_UPDATES]), trial.spec.seed)
    alike = {trial.spec.seed: trial.spec.seed for trial in trials}
    for trial in trials:
        if trial.spec.layers == BASELINE:
            alike[trial.spec.seed] = first[tuple(_told(trial.timed, measure)[:FIRST_UPDATES])]
    return alike


def _means(values: Mapping[int, list[float]]) -> dict[int, float]:
    return {seed: fmean(found) for seed, found in values.items()}

"""What the layers do to learning: verdicts, episodes to the target, time to the target.

Pure: takes stored trials, gives figures. Two responses are compared between trials that differ in one layer alone and
share their seed: how far their learning curves lie apart over the same episodes, and the ratio of the episodes that
they take to the target. A seed is one observation. A layer learns the *same* when both are shown to be small (two
one-sided tests, TOST; Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
assessing the equivalence of average bioavailability", 1987), not when no difference could be shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, variance

from m2bench.plan.learners import Cell, Cells, make_cells, sound_speeds
from m2bench.records.combinations import BASELINE, Layers, combination_name, every_combination
from m2bench.records.description import Unit
from m2bench.records.figure import Figure
from m2bench.records.summary import (
    LearningGroup,
    LearningOfCombination,
    LearningOfLayer,
    LearningSummary,
    Sameness,
)
from m2bench.records.trials import RunRecord, StoredTrial
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import Estimate, figure_of, mean_ratio
from m2bench.statistics.learning_curve import ROUNDING_VARIANCE, WINDOW, distance, progress, setbacks
from m2bench.statistics.least_squares import ROUNDING

MARGIN = 0.1  # of what there is to learn: the good policy's return over an ignorant one's
EPISODES_MARGIN = 1.25  # times the episodes to the target, or fewer by that
UNIT = Unit()
SIGNIFICANCE = 0.05

BySeed = dict[int, float]


@dataclass(frozen=True)
class Comparison:
    """A layer's effects on learning, one value per seed.

    ``distances``: of the learning curves, as a share of what there is to learn (below 0: learns less).
    ``log_ratios``: of the episodes to the target. ``all_arrived``: whether every trial that was compared did.
    """

    distances: BySeed
    log_ratios: BySeed
    all_arrived: bool


@dataclass(frozen=True)
class Setbacks:
    """How steady learning is: the share of the return's movement that goes down, as a mean over seeds.

    ``without`` and ``with_it``: the layer alone. ``interval``: of their difference, seed by seed.
    """

    without: float
    with_it: float
    interval: tuple[float, float]
    seeds: int


@dataclass(frozen=True)
class Source:
    """How the episodes to target of a combination are put together that was not trained itself.

    ``cell``: the trained cell to begin with. ``layers``: those that the combination has and the cell has not (1), or
    the other way round (-1). Each changes the episodes by the ratio that was measured for it on other cells.
    """

    cell: Cell
    layers: dict[str, int]


@dataclass(frozen=True)
class LearningVerdict:
    """Whether a layer learns the same from the same units: ``same``, ``changed``, ``undecided``, ``not told``."""

    verdict: Sameness
    reason: str
    effect: Figure | None = None
    seeds: int = 0


def judge(found: Comparison, judged_layers: int, unit: Unit = UNIT) -> LearningVerdict:
    """Same, changed or undecided.

    Same: the 90 % t intervals of both responses lie within their margins, which is TOST at 5 %. Changed: an interval
    leaves out no effect, the error of 5 % being shared among both responses of all ``judged_layers`` (Bonferroni).
    """
    seeds = len(found.distances)
    if seeds < 2:
        return LearningVerdict(
            "undecided", f"{seeds} {'seed' if seeds == 1 else 'seeds'} compared, at least two are needed", seeds=seeds
        )
    responses = (
        (list(found.distances.values()), MARGIN, 0.0),
        (list(found.log_ratios.values()), math.log(EPISODES_MARGIN), 2 * ROUNDING_VARIANCE),
    )
    small, changed = [], False
    for values, margin, rounding in responses:
        if len(values) < 2:
            small.append(False)
            continue
        low, high = t_interval(values, 2 * SIGNIFICANCE, rounding)
        small.append(-margin < low and high < margin)
        low, high = t_interval(values, SIGNIFICANCE / (2 * max(1, judged_layers)), rounding)
        changed |= low > 0 or high < 0
    effect = Figure(fmean(responses[0][0]), t_interval(responses[0][0], SIGNIFICANCE))
    if all(small) and found.all_arrived:
        reason = f"learning curves within {MARGIN:.0%}, {unit.many} to the target within {EPISODES_MARGIN}x"
        return LearningVerdict("same", reason, effect, seeds)
    if changed:
        less = effect.value < 0 or (effect.value == 0 and fmean(responses[1][0]) > 0)
        return LearningVerdict(
            "changed", f"learns {'less' if less else 'more'} from the same {unit.many}", effect, seeds
        )
    return LearningVerdict("undecided", "neither a difference nor equality is shown", effect, seeds)


def t_interval(values: list[float], outside: float, rounding: float = 0.0) -> tuple[float, float]:
    """The t interval of the mean that leaves out this share.

    ``rounding``: the variance of a value that was rounded. Few seeds can be rounded alike, and would seem not to
    scatter; so it comes on top of the scatter, with no more degrees of freedom.
    """
    centre, error = fmean(values), math.sqrt((variance(values) + rounding) / len(values))
    half = t_quantile(1 - outside / 2, len(values) - 1) * error if error else 0.0
    return centre - half, centre + half


def mean_episodes(logs: list[float], rounding: float) -> Estimate | None:
    """The geometric mean over seeds from their logarithms, with the interval of ``t_interval`` from two seeds on."""
    if len(logs) < 2:
        return mean_ratio(logs)
    return Estimate.from_log(fmean(logs), math.sqrt((variance(logs) + rounding) / len(logs)), len(logs) - 1)


class Learning:
    """The learning trials of a run, and what follows from them for its layers and combinations."""

    def __init__(self, record: RunRecord, trials: list[StoredTrial]):
        self.spec = record.spec
        self.target = record.description.workload.target
        self.unit = record.description.system.unit
        self.no_target_because = record.description.system.no_target_because
        exact = {layer.name for layer in record.description.layers if layer.exact}
        self.exact: Layers = tuple(layer for layer in self.spec.layers if layer in exact)
        self.speeds = sound_speeds(trials)
        self.trials = [trial for trial in trials if trial.spec.kind == "learning"]
        self.elapsed_s = {
            kind: sum(trial.elapsed_s for trial in trials if trial.spec.kind == kind) for kind in ("speed", "learning")
        }
        not_exact = tuple(layer for layer in self.spec.layers if layer not in self.exact)
        full = self.spec.learning == "full"
        self._compared = make_cells(self.spec.layers if full else not_exact, trials)
        self._comparisons = {layer: self._compare(layer) for layer in self.spec.layers}
        self.verdicts = self._judge_layers()
        refuted = {layer for layer in self.exact if self._proved(layer) and self.verdicts[layer].verdict == "changed"}
        # Trials that are proved to learn the same are pooled, unless the proof was refuted.
        apart = tuple(layer for layer in self.spec.layers if layer in refuted or layer not in self.exact)
        self.cells = make_cells(apart, trials)
        self.by_cell = self._in_cells(self.cells)

    def _in_cells(self, cells: Cells) -> dict[Cell, list[StoredTrial]]:
        """The trials that trained, whether or not they arrived; one that failed counts as one that did not."""
        by_cell: dict[Cell, list[StoredTrial]] = defaultdict(list)
        for trial in self.trials:
            cell = cells.of(trial.spec.layers)
            if cell is not None and trial.status in ("ok", "failed"):
                by_cell[cell].append(trial)
        return dict(by_cell)

    # The layers.

    def _judge_layers(self) -> dict[str, LearningVerdict]:
        judged = sum(len(found.distances) > 1 for found in self._comparisons.values())
        return {layer: self._judge(layer, found, judged) for layer, found in self._comparisons.items()}

    def _compare(self, layer: str) -> Comparison:
        by_cell = self._in_cells(self._compared)
        distances, log_ratios = defaultdict(list), defaultdict(list)
        all_arrived = True
        for cell, other in self._neighbours(layer):
            pairs = [
                (without, with_it)
                for without in by_cell.get(cell, ())
                for with_it in by_cell.get(other, ())
                if cell != other and without.spec.seed == with_it.spec.seed
            ]
            for without, with_it in pairs:
                if without.learned and with_it.learned and without.status == with_it.status == "ok" and self.target:
                    worth = self.target.good_return - self.target.ignorant_return
                    apart = distance(without.learned.curve, with_it.learned.curve) / worth
                    distances[without.spec.seed].append(apart)
                arrivals = without.episodes_to_target, with_it.episodes_to_target
                if arrivals[0] is not None and arrivals[1] is not None:
                    log_ratios[without.spec.seed].append(math.log(arrivals[1] / arrivals[0]))
                else:
                    all_arrived = False
        return Comparison(
            {seed: fmean(values) for seed, values in distances.items()},
            {seed: fmean(values) for seed, values in log_ratios.items()},
            all_arrived,
        )

    def comparison(self, layer: str) -> Comparison:
        """The layer's effects on learning, seed by seed."""
        return self._comparisons[layer]

    def _neighbours(self, layer: str) -> list[tuple[Cell, Cell]]:
        """The cells of measured combinations without and with the layer, each pair once."""
        pairs: dict[tuple[Cell, Cell], None] = {}
        for layers in every_combination(self.spec.layers):
            if layers not in self._compared.episodes_per_update:
                continue
            added = tuple(name for name in self.spec.layers if name in layers or name == layer)
            cell, other = self._compared.of(layers), self._compared.of(added)
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

    def _judge(self, layer: str, found: Comparison, judged: int) -> LearningVerdict:
        if self.target is None and layer not in self.exact:
            return LearningVerdict("not told", f"not measured: {self.no_target_because}")
        measured = judge(found, judged, self.unit)
        if not self._proved(layer) or measured.verdict == "changed":
            return measured
        unsound = [c for c in self._compared.episodes_per_update if layer in c and c not in self.speeds]
        if unsound:
            return LearningVerdict(
                "undecided", f"not proved: {len(unsound)} of its combinations failed or do not compute the same"
            )
        proof = f"proved by equal gradients, actions, updates and {self.unit.many}"
        return LearningVerdict("same", proof, measured.effect, measured.seeds)

    def of_layer(self, layer: str) -> LearningOfLayer:
        """The layer's verdict, and how many times the episodes to the target it needs."""
        found, needed = self.verdicts[layer], self.episodes_needed(layer)
        return LearningOfLayer(found.verdict, found.reason, found.effect, found.seeds, figure_of(needed))

    def episodes_needed(self, layer: str) -> Estimate | None:
        """Episodes to the target with the layer alone over those of the baseline.

        For a layer that others stand in for when it is alone, as it was measured beside them.
        """
        alone, without = self.spec.rules.alone(layer, self.spec.layers)
        log_ratios = list(self._comparisons[layer].log_ratios.values())
        if layer not in self.exact and self.cells.of(alone) not in self.by_cell and log_ratios:
            return mean_episodes(log_ratios, 2 * ROUNDING_VARIANCE) if self._comparisons[layer].all_arrived else None
        return self.episodes_ratio(alone, without)

    def setbacks(self, layer: str) -> Setbacks | None:
        """How steadily the layer alone learns, against the baseline; None where fewer than two seeds trained both."""
        by_cell = self._in_cells(self._compared)
        alone, below = self.spec.rules.alone(layer, self.spec.layers)
        cells = self._compared.of(below), self._compared.of(alone)
        without, with_it = ({} if cell is None else _setbacks(by_cell.get(cell, [])) for cell in cells)
        seeds = sorted(set(without) & set(with_it))
        if len(seeds) < 2 or cells[0] == cells[1]:
            return None
        interval = t_interval([with_it[seed] - without[seed] for seed in seeds], SIGNIFICANCE)
        plain, layered = (fmean(found[seed] for seed in seeds) for found in (without, with_it))
        return Setbacks(plain, layered, interval, len(seeds))

    # The combinations.

    def of_combination(self, layers: Layers, episodes_per_min: Estimate | None) -> LearningOfCombination:
        """Verdict, episodes and seconds to the target of one combination that trains at this speed."""
        episodes, reason = self.episodes_to_target(layers)
        seconds = episodes.over(episodes_per_min).scaled(60) if episodes and episodes_per_min else None
        source = self._source(layers)
        return LearningOfCombination(
            learning=self._verdict_of(layers),
            episodes_per_update=self.cells.episodes_per_update.get(layers),
            episodes_to_target=figure_of(episodes),
            learning_trials_of=None if source is None else self.by_cell[source.cell][0].spec.layers,
            episodes_needed=figure_of(self.episodes_ratio(layers, BASELINE) if episodes else None),
            time_to_target_s=figure_of(seconds),
            time_to_target_modelled=episodes is not None and source is not None and bool(source.layers),
            time_to_target_reason=reason,
        )

    def _verdict_of(self, layers: Layers) -> Sameness | None:
        if layers not in self.cells.episodes_per_update:
            return None
        if layers not in self.speeds:
            return "undecided"
        verdicts = {self.verdicts[layer].verdict for layer in layers}
        doubts: tuple[Sameness, ...] = ("changed", "undecided", "not told")
        return next((verdict for verdict in doubts if verdict in verdicts), "same")

    def episodes_to_target(self, layers: Layers) -> tuple[Estimate | None, str | None]:
        """Geometric mean over seeds with its interval, or why there is none."""
        if self.target is None:
            return None, self.no_target_because
        if layers not in self.speeds:
            return None, "a speed trial failed or does not compute the same"
        source = self._source(layers)
        if source is None:
            return (
                None,
                "no learning trial stands for it: one of its layers was not trained at these "
                f"{self.unit.many} per update",
            )
        trials = self.by_cell[source.cell]
        missing = [trial for trial in trials if trial.episodes_to_target is None]
        if missing:
            return None, f"{len(missing)} of {len(trials)} learning trials did not reach the target"
        return self.contrast({layers: 1.0}), None

    def episodes_ratio(self, over: Layers, under: Layers) -> Estimate | None:
        """Episodes to the target of one combination over those of another, paired by seed."""
        return self.contrast({over: 1.0, under: -1.0}) if over != under else self.contrast({over: 0.0})

    def contrast(self, weights: Mapping[Layers, float]) -> Estimate | None:
        """exp(sum of weight x log episodes to target) over combinations, paired by seed; None when one has none.

        What combinations that learn the same contribute cancels exactly.
        """
        terms: dict[Cell | str, float] = defaultdict(float)
        for layers, weight in weights.items():
            source = self._source(layers)
            if source is None or any(trial.episodes_to_target is None for trial in self.by_cell[source.cell]):
                return None
            terms[source.cell] += weight
            for layer, sign in source.layers.items():
                terms[layer] += sign * weight
        logs = {
            term: self._comparisons[term].log_ratios if isinstance(term, str) else self._log_arrivals(term)
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

    def _source(self, layers: Layers) -> Source | None:
        """Whose trials tell the combination's episodes to target; a model of main effects where none stands for it."""
        cell, own = self._trained_cell(layers), self.cells.of(layers)
        if cell is not None:
            return Source(cell, {})
        if own is None or layers not in self.speeds:
            return None
        known = [layer for layer, found in self._comparisons.items() if found.log_ratios and found.all_arrived]
        sources = [
            Source(cell, {layer: 1 if layer in own.apart else -1 for layer in differing})
            for cell in self.by_cell
            if cell.episodes_per_update == own.episodes_per_update
            and (differing := [layer for layer in self.spec.layers if (layer in own.apart) != (layer in cell.apart)])
            and set(differing) <= set(known)
        ]
        return min(sources, key=lambda source: len(source.layers), default=None)

    def _trained_cell(self, layers: Layers) -> Cell | None:
        """The combination's own cell; else the plainest of its group, where all layers in between learn the same."""
        own = self.cells.of(layers)
        if own is None or layers not in self.speeds:
            return None
        if own in self.by_cell:
            return own
        standing_in = [
            cell
            for cell in self.by_cell
            if cell.episodes_per_update == own.episodes_per_update
            and all(self.verdicts[layer].verdict == "same" for layer in {*cell.apart} ^ {*own.apart})
        ]
        return min(standing_in, key=lambda cell: len(cell.apart), default=None)

    # The run.

    def summary(self) -> LearningSummary:
        """What was measured and how."""
        return LearningSummary(
            mode=self.spec.learning,
            target=self.target,
            margin=MARGIN,
            episodes_margin=EPISODES_MARGIN,
            evaluations_averaged=WINDOW,
            trials=len(self.trials),
            rounds=max((trial.spec.block for trial in self.trials), default=0),
            failed=tuple(
                f"{combination_name(trial.spec.layers)}: {trial.status}: {trial.reason} (log: {trial.log})"
                for trial in self.trials
                if trial.status != "ok"
            ),
            elapsed_s=self.elapsed_s["learning"],
            share_of_run=self.elapsed_s["learning"] / max(sum(self.elapsed_s.values()), 1e-9),
            cells=tuple(self._describe_cell(cell) for cell in sorted(self.by_cell, key=_size)),
        )

    def _describe_cell(self, cell: Cell) -> LearningGroup:
        trials = self.by_cell[cell]
        came = sorted(arrived for trial in trials if (arrived := trial.episodes_to_target) is not None)
        curves = [trial.learned.curve for trial in trials if trial.learned]
        episodes = self.episodes_to_target(trials[0].spec.layers)[0]
        return LearningGroup(
            episodes_per_update=cell.episodes_per_update,
            apart=cell.apart,
            layers=trials[0].spec.layers,
            trials=len(trials),
            reached=len(came),
            episodes_to_target=figure_of(episodes),
            episodes_to_target_range=(came[0], came[-1]) if came else None,
            not_within=min((curve[-1].after for curve in curves), default=0),
            curve=() if self.target is None else tuple(progress(curves, self.target.target_return)),
        )


def _setbacks(trials: list[StoredTrial]) -> BySeed:
    """By seed, for the trials that ended well."""
    found = {t.spec.seed: setbacks(t.learned.curve) for t in trials if t.status == "ok" and t.learned}
    return {seed: share for seed, share in found.items() if share is not None}


def _size(cell: Cell) -> tuple[int, int, Layers]:
    return cell.episodes_per_update, len(cell.apart), cell.apart

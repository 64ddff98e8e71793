"""What a run says of learning: verdicts, episodes to the target, time to the target. Pure."""

from __future__ import annotations

from m2bench.plan.learners import Cell
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.learning_curve import WINDOW, progress
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.summary.ablation_summary import LearningGroup, LearningSummary
from m2bench.summary.rows import LearningOfCombination, LearningOfLayer, Sameness

from .episodes_to_target import EpisodesToTarget
from .layer_learning import LayerLearning
from .learning_verdict import EPISODES_MARGIN, MARGIN


class Learning:
    """The learning trials of a run, and what follows from them for its layers and combinations."""

    def __init__(self, record: RunRecord, trials: list[StoredTrial]):
        self.layers = LayerLearning(record, trials)
        self.episodes = EpisodesToTarget(self.layers, trials)
        self._mode = record.spec.learning
        self._elapsed_s = {
            kind: sum(trial.elapsed_s for trial in trials if trial.spec.kind == kind) for kind in ("speed", "learning")
        }

    def of_layer(self, layer: str) -> LearningOfLayer:
        """The layer's verdict, and how many times the episodes to the target it needs."""
        found, needed = self.layers.verdicts[layer], self.episodes.needed(layer)
        return LearningOfLayer(found.verdict, found.reason, found.effect, found.seeds, figure_of(needed))

    def of_combination(self, layers: Layers, episodes_per_min: Estimate | None) -> LearningOfCombination:
        """Verdict, episodes and seconds to the target of one combination that trains at this speed."""
        episodes, reason = self.episodes.of(layers)
        seconds = episodes.over(episodes_per_min).scaled(60) if episodes and episodes_per_min else None
        source = self.episodes.source(layers)
        return LearningOfCombination(
            learning=self._verdict_of(layers),
            episodes_per_update=self.episodes.cells.episodes_per_update.get(layers),
            episodes_to_target=figure_of(episodes),
            learning_trials_of=None if source is None else self.episodes.by_cell[source.cell][0].spec.layers,
            episodes_needed=figure_of(self.episodes.ratio(layers, BASELINE) if episodes else None),
            time_to_target_s=figure_of(seconds),
            time_to_target_modelled=episodes is not None and source is not None and bool(source.layers),
            time_to_target_reason=reason,
        )

    def _verdict_of(self, layers: Layers) -> Sameness | None:
        if layers not in self.episodes.cells.episodes_per_update:
            return None
        if layers not in self.layers.speeds and self.layers.told is None:
            return "undecided"
        verdicts = {self.layers.verdicts[layer].verdict for layer in layers}
        doubts: tuple[Sameness, ...] = ("changed", "undecided", "not told")
        return next((verdict for verdict in doubts if verdict in verdicts), "same")

    def summary(self) -> LearningSummary:
        """What was measured and how."""
        return LearningSummary(
            mode=self._mode,
            target=self.layers.target,
            margin=MARGIN,
            episodes_margin=EPISODES_MARGIN,
            evaluations_averaged=WINDOW,
            trials=len(self.layers.trials),
            rounds=max((trial.spec.block for trial in self.layers.trials), default=0),
            failed=tuple(
                f"{combination_name(trial.spec.layers)}: {trial.status}: {trial.reason} (log: {trial.log})"
                for trial in self.layers.trials
                if trial.status != "ok"
            ),
            elapsed_s=self._elapsed_s["learning"],
            share_of_run=self._elapsed_s["learning"] / max(sum(self._elapsed_s.values()), 1e-9),
            cells=tuple(self._describe_cell(cell) for cell in sorted(self.episodes.by_cell, key=_size)),
            told=None if self.layers.told is None else self.layers.told.measure,
            told_curves=() if self.layers.told is None else tuple(self.layers.told.curves()),
        )

    def _describe_cell(self, cell: Cell) -> LearningGroup:
        trials, target = self.episodes.by_cell[cell], self.layers.target
        came = sorted(arrived for trial in trials if (arrived := trial.episodes_to_target) is not None)
        curves = [trial.learned.curve for trial in trials if trial.learned]
        episodes = self.episodes.of(trials[0].spec.layers)[0]
        return LearningGroup(
            episodes_per_update=cell.episodes_per_update,
            apart=cell.apart,
            layers=trials[0].spec.layers,
            trials=len(trials),
            reached=len(came),
            episodes_to_target=figure_of(episodes),
            episodes_to_target_range=(came[0], came[-1]) if came else None,
            not_within=min((curve[-1].after for curve in curves), default=0),
            curve=() if target is None else tuple(progress(curves, target.value, target.falls)),
        )


def _size(cell: Cell) -> tuple[float, int, Layers]:
    return cell.episodes_per_update, len(cell.apart), cell.apart

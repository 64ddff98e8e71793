"""What the layers do to learning: verdicts, episodes to the target, time to the target.

Pure: takes stored trials, gives figures. A layer's effect is the distance between two learning curves over the same
episodes, from pairs of trials that differ in that layer alone and share their seed. It is ``same`` when it is shown to
be small (two one-sided tests, TOST; Schuirmann, "A comparison of the two one-sided tests procedure and the power
approach for assessing the equivalence of average bioavailability", 1987), not when no difference could be shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from statistics import mean, median, stdev
from typing import Any

from .learning_curve import EVALUATIONS_TO_AGREE, distance, evaluation_episodes, return_after
from .learning_plan import Cell, Cells, make_cells, sound_speeds
from .plan import every_combination
from .spec import Layers, combination_name
from .store import RunRecord, StoredTrial

MARGIN = 0.1  # of what there is to learn: the good policy's return over an ignorant one's
SIGNIFICANCE = 0.05

Document = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether a layer learns the same from the same episodes.

    ``effect`` and its 95 % ``interval`` are the mean distance of the learning curves, as a share of what there
    is to learn (below 0: learns less), over ``pairs`` of trials; None where nothing was compared.
    """

    verdict: str
    reason: str
    effect: float | None = None
    interval: tuple[float, float] | None = None
    pairs: int = 0


def judge_effects(effects: list[float], judged_layers: int) -> Verdict:
    """Same, changed or undecided, from the effects in pairs of trials.

    Same: the 90 % t interval lies within the margin (TOST at 5 %). Changed: the interval that leaves out 5 %
    over all ``judged_layers`` leaves out 0 (Bonferroni). Otherwise undecided.
    """
    if len(effects) < 2:
        reason = f"pairs of learning trials to compare: {len(effects)}, and two are the least"
        return Verdict("undecided", reason, pairs=len(effects))
    from scipy.special import stdtrit

    centre, spread = mean(effects), stdev(effects) / math.sqrt(len(effects))

    def interval(outside: float) -> tuple[float, float]:
        half = float(stdtrit(len(effects) - 1, 1 - outside / 2)) * spread
        return centre - half, centre + half

    low, high = interval(2 * SIGNIFICANCE)
    changed_low, changed_high = interval(SIGNIFICANCE / max(1, judged_layers))
    if low > -MARGIN and high < MARGIN:
        verdict, reason = "same", f"within {MARGIN:.0%} of what there is to learn"
    elif changed_low > 0 or changed_high < 0:
        verdict, reason = "changed", f"learns {'more' if centre > 0 else 'less'} from the same episodes"
    else:
        verdict, reason = "undecided", "neither a difference nor its absence can be shown"
    return Verdict(verdict, reason, centre, interval(SIGNIFICANCE), len(effects))


class Learning:
    """The learning trials of a run, and what follows from them for its layers and combinations."""

    def __init__(self, record: RunRecord, trials: list[StoredTrial]):
        self.spec = record.spec
        self.target: Document | None = record.description["workload"]["target"]
        self.exact: Layers = tuple(layer["name"] for layer in record.description["layers"] if layer["exact"])
        self.cells: Cells = make_cells(self.spec, self.exact, trials)
        self.speeds = sound_speeds(trials)
        self.trials = [trial for trial in trials if trial.spec.kind == "learning"]
        self.elapsed_s = {
            kind: sum(trial.elapsed_s for trial in trials if trial.spec.kind == kind) for kind in ("speed", "learning")
        }
        self.by_cell: dict[Cell, list[StoredTrial]] = defaultdict(list)
        for trial in self.trials:
            cell = self.cells.of(trial.spec.layers)
            if trial.status == "ok" and cell is not None:
                self.by_cell[cell].append(trial)
        self.verdicts = self._judge_layers()

    def _judge_layers(self) -> dict[str, Verdict]:
        effects = {layer: list(self._effects(layer)) for layer in self.spec.layers}
        judged = sum(len(found) > 1 for found in effects.values())
        return {layer: self._judge(layer, found, judged) for layer, found in effects.items()}

    def _effects(self, layer: str) -> Iterable[float]:
        """The layer's effect in each pair of trials that differ in it alone, as a share of what there is to learn."""
        if self.target is None:
            return
        worth = self.target["good_return"] - self.target["ignorant_return"]
        for cell, other in self._neighbours(layer):
            for without in self.by_cell.get(cell, ()):
                for with_it in self.by_cell.get(other, ()):
                    if cell != other and without.spec.seed == with_it.spec.seed:
                        yield distance(without.result["curve"], with_it.result["curve"]) / worth

    def _neighbours(self, layer: str) -> list[tuple[Cell, Cell]]:
        """The cells of measured combinations without and with the layer, each pair once."""
        pairs: dict[tuple[Cell, Cell], None] = {}
        for layers in every_combination(self.spec.layers):
            added = tuple(name for name in self.spec.layers if name in layers or name == layer)
            cell, other = self.cells.of(layers), self.cells.of(added)
            if layer not in layers and cell is not None and other is not None:
                pairs[cell, other] = None
        return list(pairs)

    def _judge(self, layer: str, effects: list[float], judged: int) -> Verdict:
        measured = judge_effects(effects, judged)
        pairs = self._neighbours(layer)
        if layer not in self.exact or not pairs or measured.verdict == "changed":
            return measured
        if any(cell.episodes_per_update != other.episodes_per_update for cell, other in pairs):
            return measured
        unsound = [c for c in self.cells.episodes_per_update if layer in c and c not in self.speeds]
        if unsound:
            return Verdict("undecided", f"not proved: {len(unsound)} of its combinations failed or compute otherwise")
        proof = "proved by the gates: equal gradients, draws, updates and episodes"
        return Verdict("same", proof, measured.effect, measured.interval, measured.pairs)

    def of_layer(self, layer: str) -> Document:
        """The layer's verdict, and how many times the baseline's episodes it needs to the target when alone."""
        verdict = self.verdicts[layer]
        alone, baseline = (self.episodes_to_target(layers)[0] for layers in ((layer,), ()))
        return {
            "learning": verdict.verdict,
            "learning_reason": verdict.reason,
            "learning_effect": verdict.effect,
            "learning_ci": verdict.interval,
            "learning_pairs": verdict.pairs,
            "episodes_needed": None if alone is None or baseline is None else alone / baseline,
        }

    def of_combination(self, layers: Layers) -> Document:
        """Verdict, episodes and seconds to the target of one combination."""
        episodes, reason = self.episodes_to_target(layers)
        cell = self._trained_cell(layers)
        return {
            "learning": self._verdict_of(layers),
            "episodes_per_update": self.cells.episodes_per_update.get(layers),
            "episodes_to_target": episodes,
            "learning_trials_of": None if cell is None else list(self.by_cell[cell][0].spec.layers),
            "time_to_target_s": None if episodes is None else 60 * episodes / self.speeds[layers],
            "time_to_target_reason": reason,
        }

    def _verdict_of(self, layers: Layers) -> str | None:
        if layers not in self.cells.episodes_per_update:
            return None
        if layers not in self.speeds:
            return "undecided"
        verdicts = {self.verdicts[layer].verdict for layer in layers}
        return next((verdict for verdict in ("changed", "undecided") if verdict in verdicts), "same")

    def episodes_to_target(self, layers: Layers) -> tuple[float | None, str | None]:
        """Median over seeds, and why there is none."""
        if self.target is None:
            return None, "this market has no target that could be told from luck"
        if layers not in self.speeds:
            return None, "not every speed trial is ok and computes the same"
        cell = self._trained_cell(layers)
        if cell is None:
            return None, "no learning trial stands for it"
        reached = [trial.result["episodes_to_target"] for trial in self.by_cell[cell]]
        middle = median(math.inf if episodes is None else episodes for episodes in reached)
        if math.isinf(middle):
            seen = max(trial.result["curve"][-1]["episodes"] for trial in self.by_cell[cell])
            return None, f"{reached.count(None)} of {len(reached)} trials did not reach it within {seen} episodes"
        return middle, None

    def _trained_cell(self, layers: Layers) -> Cell | None:
        """The combination's own cell; else the plainest of its group, where no layer in between changes learning."""
        own = self.cells.of(layers)
        if own is None or layers not in self.speeds:
            return None
        if own in self.by_cell:
            return own
        standing_in = [
            cell
            for cell in self.by_cell
            if cell.episodes_per_update == own.episodes_per_update
            and all(self.verdicts[layer].verdict != "changed" for layer in {*cell.apart} ^ {*own.apart})
        ]
        return min(standing_in, key=lambda cell: len(cell.apart), default=None)

    def document(self) -> Document:
        """What was measured and how, for the summary."""
        return {
            "mode": self.spec.learning,
            "target": self.target,
            "margin": MARGIN,
            "evaluations_averaged": EVALUATIONS_TO_AGREE,
            "trials": len(self.trials),
            "rounds": max((trial.spec.block for trial in self.trials), default=0),
            "failed": [
                f"{combination_name(trial.spec.layers)}: {trial.status}: {trial.reason} (log: {trial.log})"
                for trial in self.trials
                if trial.status != "ok"
            ],
            "elapsed_s": self.elapsed_s["learning"],
            "share_of_run": self.elapsed_s["learning"] / max(sum(self.elapsed_s.values()), 1e-9),
            "cells": [self._describe_cell(cell) for cell in sorted(self.by_cell, key=_size)],
        }

    def _describe_cell(self, cell: Cell) -> Document:
        trials = self.by_cell[cell]
        reached = [trial.result["episodes_to_target"] for trial in trials]
        came = sorted(episodes for episodes in reached if episodes is not None)
        end = min(trial.result["curve"][-1]["episodes"] for trial in trials)
        common = list(takewhile(lambda episodes: episodes <= end, evaluation_episodes()))
        return {
            "episodes_per_update": cell.episodes_per_update,
            "apart": list(cell.apart),
            "layers": list(trials[0].spec.layers),
            "trials": len(trials),
            "reached": len(came),
            "episodes_to_target": self.episodes_to_target(trials[0].spec.layers)[0],
            "episodes_to_target_range": [came[0], came[-1]] if came else None,
            "curve": [
                [number, mean(return_after(trial.result["curve"], number) for trial in trials)] for number in common
            ],
        }


def _size(cell: Cell) -> tuple[int, int, Layers]:
    return cell.episodes_per_update, len(cell.apart), cell.apart

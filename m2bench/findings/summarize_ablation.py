"""From trials to figures: the summary of a run.

Pure. Ratios come from least squares on logarithms (effects.py); every figure that rests on several trials has its
interval beside it, or None where the run cannot give one. Figures that were not measured are None, never invented.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from m2bench.plan.designs import combinations_of, count_trials
from m2bench.plan.learners import any_checked
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.description import Description
from m2bench.records.spec import TrialKind
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.prediction import Prediction
from m2bench.store.stored_trial import RunRecord, StoredTrial, settled
from m2bench.summary.ablation_summary import ChecksCost, Recommendation, Summary
from m2bench.summary.rows import CombinationRow, LayerRow
from m2bench.summary.subject import MeasuredOn, Trained

from .combination_rows import summarize_combination, with_break_even
from .gains import attribute_gains
from .judged_trials import judge_trials
from .layer_rows import summarize_interactions, summarize_layers
from .learning import Learning
from .metrics import with_metrics
from .noise import summarize_noise
from .recommendation.recommend import recommend
from .responses import counted_trials, fit, group_by_layers, sound_trials, speed, speed_effects

SUMMARY_SCHEMA = 1


def summarize(run: str, record: RunRecord, attempts: list[StoredTrial]) -> Summary:
    """The summary of an ablation, finished or not, from all trials that it has stored.

    Raises UserError for a run of ``scale``.
    """
    record.refuse_without_layers()
    of = _Fitted(record, attempts)
    spec, description, speeds = record.spec, record.description, of.speeds
    combinations, layers = of.combinations(), of.layers()
    rated = [c for c in combinations if c.is_rated]
    soonest = min((c for c in rated if c.has_own_time_to_target), key=_time_to_target_s, default=None)
    return Summary(
        schema=SUMMARY_SCHEMA,
        run=run,
        started=record.started,
        trials_done=len(of.trials),
        trials_planned=count_trials(spec),
        unfinished=of.unfinished(),
        system=description.system,
        device=description.device.device,
        device_faults=record.prepared.device_faults or (),
        machine=MeasuredOn(description.machine, description.device),
        peak_flops=record.prepared.peak_flops,
        peaks=record.prepared.peaks,
        bytes_per_s=record.prepared.bytes_per_s,
        claimed_together=_claimed_together(description, spec.layers),
        workload=Trained(description.workload, spec),
        noise=summarize_noise(record, of.trials, sum(t.spec.repeats is not None for t in attempts), speeds),
        combinations=tuple(combinations),
        layers=layers,
        gains=attribute_gains(layers, speeds),
        interactions=summarize_interactions(speeds),
        total_speedup=figure_of(speeds.ratio(speeds.all_together)),
        total_layers=speeds.all_together,
        main_effects_mixed=speeds.mixed,
        best=max(rated, key=_by_speedup, default=None),
        soonest=soonest,
        soonest_gain=figure_of(None if soonest is None else of.sooner(soonest.layers, BASELINE)),
        recommended=of.recommended(combinations),
        learning=of.learning.summary(),
        checks=of.checks_cost(),
    )


class _Fitted:
    """What a run's figures are made of: its trials, judged, and the fits of what was measured in them."""

    def __init__(self, record: RunRecord, attempts: list[StoredTrial]):
        self._record = record
        self._attempts = attempts
        self._judged = judge_trials(record, settled(attempts))
        self.trials = [trial for trial in self._judged.trials if trial.spec.kind == "speed"]
        self.learning = Learning(record, self._judged.trials)
        self.speeds = speed_effects(record.spec, self.trials)
        self._prediction = Prediction(self.speeds)

    def combinations(self) -> list[CombinationRow]:
        """A row per combination of the design."""
        spec, by_layers = self._record.spec, group_by_layers(self.trials)
        attempted = group_by_layers(trial for trial in self._attempts if trial.spec.kind == "speed")
        counted, checked = counted_trials(by_layers), any_checked(self.trials)
        speeds = fit(spec.layers, counted, speed, spec.rules)
        rows = [
            summarize_combination(
                by_layers[layers], attempted[layers], layers, speeds, self.learning, self._record, checked
            )
            for layers in combinations_of(spec)
        ]
        compiling = [layer.name for layer in self._record.description.layers if layer.compiles]
        return [
            # What computes something else is no part of the prediction.
            replace(row, speedup_predicted=figure_of(self._prediction.ratio(row.layers) if row.is_rated else None))
            for row in with_metrics(with_break_even(rows, compiling, speeds), spec.layers, counted)
        ]

    def layers(self) -> tuple[LayerRow, ...]:
        """A row per layer."""
        spec, description = self._record.spec, self._record.description
        described = [layer for layer in description.layers if layer.name in spec.layers]
        taken, engagement = sound_trials(self.trials), self._judged.layers
        return summarize_layers(described, description.system, taken, self.speeds, self.learning, engagement)

    def sooner(self, over: Layers, under: Layers) -> Estimate | None:
        """How many times sooner than another a combination reaches the target."""
        faster, needed = self._prediction.ratio(over, under), self.learning.episodes.ratio(over, under)
        return None if faster is None or needed is None else faster.over(needed)

    def recommended(self, combinations: list[CombinationRow]) -> Recommendation | None:
        """What is to be switched on."""
        spec, spoiling = self._record.spec, self.learning.layers.spoiling
        missing, of_a_fraction = self.speeds.blocks_missing(spec.blocks), "fraction" in spec.design
        return recommend(
            spec.layers, combinations, self._prediction, self.sooner, spoiling, spec.blocks, missing, of_a_fraction
        )

    def unfinished(self) -> TrialKind | None:
        """The kind of the trial that would be run next; None for a finished run."""
        done = settled(self._attempts)
        following = next(remaining_trials(self._record.spec, self._record.description, lambda: done), None)
        return None if following is None else following.kind

    def checks_cost(self) -> ChecksCost:
        """Seconds that preparing and running the numerics checks took, over all trials so far."""
        passed = sum(trial.timed.numerics_s for trial in self.trials if trial.result)
        return ChecksCost(self._record.prepared.prepare_s, passed)


def _by_speedup(row: CombinationRow) -> tuple[float, int]:
    """By the predicted speedup to 0.01 %; of equal ones the one with fewer layers is the better."""
    figure = row.speedup_predicted or row.speedup
    return -math.inf if figure is None else round(math.log(figure.value), 4), -len(row.layers)


def _claimed_together(description: Description, taking_part: Layers) -> Mapping[str, Sequence[str]]:
    """What is claimed of all layers of one source at once, where these take part and no others."""
    claimed = {layer.name: layer.claim.source for layer in description.layers if layer.claim}
    sources = {claimed.get(name) for name in taking_part}
    theirs = {name for name, source in claimed.items() if source in sources}
    return description.claimed_together if len(sources) == 1 and theirs == {*taking_part} else {}


def _time_to_target_s(row: CombinationRow) -> float:
    figure = row.learning.time_to_target_s
    return math.inf if figure is None else figure.value

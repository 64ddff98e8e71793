"""From trials to figures: the summary of a run.

Pure. Ratios come from least squares on logarithms (effects.py); every figure that rests on several trials has its
interval beside it, or None where the run cannot give one. Figures that were not measured are None, never invented.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from m2bench.plan.designs import combinations_of, count_trials
from m2bench.plan.learners import any_checked
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.refusals import wrong_device
from m2bench.records.spec import TrialKind
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.prediction import Prediction
from m2bench.store.trials import RunRecord, StoredTrial, settled
from m2bench.summary.ablation import ChecksCost, Summary
from m2bench.summary.noise import Anchor, Noise, RunConditions, Timing
from m2bench.summary.rows import CombinationRow
from m2bench.summary.subject import MeasuredOn, Trained

from .combination_rows import summarize_combination, with_break_even
from .engagement import judge_engagement
from .gains import attribute_gains
from .layer_rows import summarize_interactions, summarize_layers
from .learning import Learning
from .losses import with_losses_compared
from .metrics import with_metrics
from .noise import describe_conditions, measure_repeats, smallest_effect_seen
from .recommendation.recommend import recommend
from .responses import counted_trials, fit, group_by_layers, sound_trials, speed, speed_effects

SUMMARY_SCHEMA = 1


def summarize(run: str, record: RunRecord, attempts: list[StoredTrial]) -> Summary:
    """The summary of an ablation, finished or not, from all trials that it has stored.

    Raises UserError for a run of ``scale``.
    """
    record.refuse_scale()
    done = settled(attempts)
    judged = judge_engagement(record, done)
    stored = with_losses_compared(record, judged.trials)
    spec, description, learning = record.spec, record.description, Learning(record, stored)
    trials = [trial for trial in stored if trial.spec.kind == "speed"]
    attribution = speed_effects(spec, trials)
    prediction = Prediction(attribution)
    combinations = _summarize_combinations(record, trials, attempts, learning, prediction)
    described = [layer for layer in description.layers if layer.name in spec.layers]
    taken = sound_trials(trials)
    layers = summarize_layers(described, description.system, taken, attribution, learning, judged.layers)
    rated = [c for c in combinations if c.is_rated]
    soonest = min((c for c in rated if c.has_own_time_to_target), key=_time_to_target_s, default=None)

    def sooner(over: Layers, under: Layers) -> Estimate | None:
        """How many times sooner than another a combination reaches the target."""
        faster, needed = prediction.ratio(over, under), learning.episodes.ratio(over, under)
        return None if faster is None or needed is None else faster.over(needed)

    return Summary(
        schema=SUMMARY_SCHEMA,
        run=run,
        started=record.started,
        trials_done=len(trials),
        trials_planned=count_trials(spec),
        unfinished=_unfinished(record, done),
        system=description.system,
        device=description.device.device,
        device_faults=record.prepared.device_faults or (),
        machine=MeasuredOn(description.machine, description.device),
        peak_flops=record.prepared.peak_flops,
        claimed_together=description.claimed_together,
        workload=Trained(description.workload, spec),
        noise=_summarize_noise(trials, attribution, record, sum(t.spec.repeats is not None for t in attempts)),
        combinations=tuple(combinations),
        layers=layers,
        gains=attribute_gains(layers, attribution),
        interactions=summarize_interactions(attribution),
        total_speedup=figure_of(attribution.ratio(attribution.all_together)),
        total_layers=attribution.all_together,
        main_effects_mixed=attribution.mixed,
        best=max(rated, key=_predicted_speedup, default=None),
        soonest=soonest,
        soonest_gain=figure_of(None if soonest is None else sooner(soonest.layers, BASELINE)),
        recommended=recommend(
            spec.layers,
            combinations,
            prediction,
            sooner,
            learning.layers.spoiling,
            spec.blocks,
            attribution.blocks_missing(spec.blocks),
            "fraction" in spec.design,
        ),
        learning=learning.summary(),
        checks=_checks_cost(record, trials),
    )


def _summarize_combinations(
    record: RunRecord,
    trials: list[StoredTrial],
    attempts: list[StoredTrial],
    learning: Learning,
    prediction: Prediction,
) -> list[CombinationRow]:
    """A row per combination of the design."""
    spec, by_layers = record.spec, group_by_layers(trials)
    attempted = group_by_layers(trial for trial in attempts if trial.spec.kind == "speed")
    counted = counted_trials(by_layers)
    speeds = fit(spec.layers, counted, speed, spec.rules)
    rows = [
        summarize_combination(
            by_layers[layers], attempted[layers], layers, speeds, learning, record, any_checked(trials)
        )
        for layers in combinations_of(spec)
    ]
    compiling = [layer.name for layer in record.description.layers if layer.compiles]
    return [
        # What computes something else is no part of the prediction.
        replace(row, speedup_predicted=figure_of(prediction.ratio(row.layers) if row.is_rated else None))
        for row in with_metrics(with_break_even(rows, compiling, speeds), spec.layers, counted)
    ]


def _predicted_speedup(row: CombinationRow) -> float:
    figure = row.speedup_predicted or row.speedup
    return -math.inf if figure is None else figure.value


def _time_to_target_s(row: CombinationRow) -> float:
    figure = row.learning.time_to_target_s
    return math.inf if figure is None else figure.value


def _unfinished(record: RunRecord, trials: list[StoredTrial]) -> TrialKind | None:
    """The kind of the trial that would be run next; None for a finished run."""
    following = next(remaining_trials(record.spec, record.description, lambda: trials), None)
    return None if following is None else following.kind


def _summarize_noise(trials: list[StoredTrial], attribution: Effects, record: RunRecord, repeated_trials: int) -> Noise:
    scatter = attribution.scatter
    return Noise(
        repeats=measure_repeats([trial for trial in trials if trial.spec.layers == BASELINE]),
        anchors=_anchors(trials),
        conditions=replace(_conditions(trials, attribution, record), repeated_trials=repeated_trials),
        timing=_timing(sound_trials(trials)),
        trial_sd=math.expm1(scatter.sd) if scatter else None,
        scatter_groups=scatter.groups if scatter else (),
        min_detectable=smallest_effect_seen(attribution),
        outliers=tuple(attribution.outliers()),
        lack_of_fit_p=attribution.lack_of_fit_p(),
    )


def _anchors(trials: list[StoredTrial]) -> tuple[Anchor, ...]:
    """The baselines that are ok, each with its number among the speed trials and its speed."""
    return tuple(
        Anchor(trial.spec.key, number, speed(trial))
        for number, trial in enumerate(trials, 1)
        if trial.spec.layers == BASELINE and trial.status == "ok"
    )


def _conditions(trials: list[StoredTrial], attribution: Effects, record: RunRecord) -> RunConditions:
    """What the machine did besides the trials. A device that computes wrongly is the first of the warnings."""
    found = describe_conditions(trials, math.exp(attribution.scatter.sd) if attribution.scatter else None)
    faults = record.prepared.device_faults
    if not faults:
        return found
    wrong = f"{wrong_device(record.description.device, faults)}: no figure here means anything"
    return replace(found, warnings=(wrong, *found.warnings))


def _timing(trials: Sequence[StoredTrial]) -> Timing:
    """How well the windows themselves are timed: the mean's relative standard error, and the timer's part in it."""
    errors = [error for trial in trials if (error := trial.timed.window_error) is not None]
    return Timing(
        window_error=median(errors) if errors else None,
        window_error_worst=max(errors, default=None),
        timer_share_worst=max((trial.timed.timer_share for trial in trials), default=None),
    )


def _checks_cost(record: RunRecord, trials: list[StoredTrial]) -> ChecksCost:
    """Seconds that preparing and running the numerics checks took, over all trials so far."""
    passed = sum(trial.timed.numerics_s for trial in trials if trial.result)
    return ChecksCost(record.prepared.prepare_s, passed)

"""The noise of a run: by its anchors, trials of the baseline that differ in nothing but the moment, and by all."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import mean, median, quantiles, stdev

import numpy as np

from m2bench.machine.conditions import are_disturbed, busy_cores
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.figure import Figure
from m2bench.records.refusals import wrong_device
from m2bench.records.results import Conditions, RunConditions
from m2bench.statistics.distributions import t_quantile, t_two_sided_p
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import ROUNDING
from m2bench.statistics.steady import steady_speed
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.summary.noise import Anchor, Noise, Repeats, Timing

from .compare_machines import warn_of_machines
from .responses import sound_trials, speed

DISTURBED_SHARE = 0.25  # of the trials
CANARY_DRIFT = 1.05
RELATED = 0.01  # the p value below which canary and trials are taken to slow down together


def summarize_noise(record: RunRecord, trials: list[StoredTrial], repeated_trials: int, speeds: Effects) -> Noise:
    """How noisy the speed trials of a run are, ``repeated_trials`` of which were run again."""
    scatter = speeds.scatter
    return Noise(
        repeats=measure_repeats(
            [trial for trial in trials if trial.spec.layers == BASELINE], record.spec.mini_blocks_apart
        ),
        anchors=_anchors(trials),
        conditions=replace(_conditions(trials, speeds, record), repeated_trials=repeated_trials),
        timing=_timing(sound_trials(trials)),
        trial_sd=math.expm1(scatter.sd) if scatter else None,
        scatter_groups=scatter.groups if scatter else (),
        min_detectable=_smallest_effect_seen(speeds),
        outliers=tuple(speeds.outliers()),
        lack_of_fit_p=speeds.lack_of_fit_p(),
    )


def _anchors(trials: list[StoredTrial]) -> tuple[Anchor, ...]:
    """The baselines that are ok, each with its number among the speed trials and its speed."""
    return tuple(
        Anchor(trial.spec.key, number, speed(trial))
        for number, trial in enumerate(trials, 1)
        if trial.spec.layers == BASELINE and trial.status == "ok"
    )


def _conditions(trials: list[StoredTrial], speeds: Effects, record: RunRecord) -> RunConditions:
    """What the machine did besides the trials. A device that computes wrongly is the first of the warnings."""
    found = describe_conditions(trials, math.exp(speeds.scatter.sd) if speeds.scatter else None)
    faults, of_machines = record.prepared.device_faults, warn_of_machines(record.spec, trials)
    wrong = [f"{wrong_device(record.description.device, faults)}: no figure here means anything"] if faults else []
    return replace(found, warnings=(*wrong, *found.warnings, *of_machines))


def _timing(trials: Sequence[StoredTrial]) -> Timing:
    """How well the windows themselves are timed: the mean's relative standard error, and the timer's part in it."""
    errors = [error for trial in trials if (error := trial.timed.window_error) is not None]
    return Timing(
        window_error=median(errors) if errors else None,
        window_error_worst=max(errors, default=None),
        timer_share_worst=max((trial.timed.timer_share for trial in trials), default=None),
    )


def measure_repeats(anchors: list[StoredTrial], apart: bool = False) -> Repeats:
    """From the anchors that are ok, in the order in which they were run.

    ``apart``: mini-blocks may have been run on different machines, so that neighbours are those of the same one, and
    there is no drift over all.
    """
    speeds: dict[int, list[float]] = defaultdict(list)
    for trial in anchors:
        if trial.status == "ok":
            group = trial.spec.mini_blocks[0] if apart else trial.spec.block
            speeds[group].append(math.log(steady_speed(trial.timed)))
    steps = [abs(b - a) for block in speeds.values() for a, b in pairwise(block)]
    if not steps:
        return Repeats()
    ratio, pairs = _halves(list(speeds.values()))
    drift = None if apart else _drift([speed for block in speeds.values() for speed in block])
    return Repeats(ratio, pairs, math.exp(median(steps)), math.exp(max(steps)), drift)


def _halves(blocks: list[list[float]]) -> tuple[Figure, int]:
    """Pairs of neighbours, each anchor in one; which half comes first alternates, so that drift cancels."""
    pairs = [pair for block in blocks for pair in zip(block[::2], block[1::2], strict=False)]
    differences = [(b - a) * (-1) ** index for index, (a, b) in enumerate(pairs)]
    centre = mean(differences)
    if len(differences) < 2:
        return Figure(math.exp(centre)), len(pairs)
    half = t_quantile(0.975, len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    return _ratio(centre, half), len(pairs)


def _ratio(log: float, half: float) -> Figure:
    """A ratio from its logarithm and half the width of the interval there."""
    return Figure(math.exp(log), (math.exp(log - half), math.exp(log + half)))


def _drift(speeds: list[float]) -> Figure | None:
    if len(speeds) < 3:
        return None
    (slope, _), covariance = np.polyfit(range(len(speeds)), speeds, 1, cov=True)
    half_slope = t_quantile(0.975, len(speeds) - 2) * math.sqrt(covariance[0, 0])
    change, half = (float(value) * (len(speeds) - 1) for value in (slope, half_slope))
    return _ratio(change, half)


def _smallest_effect_seen(effects: Effects) -> float | None:
    """The smallest main effect, as a ratio above 1, that such a run finds at 5 % in 80 % of cases."""
    found = [effect for layer in effects.layers if (effect := effects.main_effect(layer)) is not None]
    errors = [effect.log_se for effect in found if effect.log_se is not None]
    if not errors or effects.scatter is None:
        return None
    degrees = effects.scatter.degrees
    return math.exp((t_quantile(0.975, degrees) + t_quantile(0.8, degrees)) * max(errors))


def is_disturbed(trials: list[StoredTrial]) -> bool:
    """Whether so many trials ran beside other load that no claim can be judged by them."""
    return sum(busy_cores(trial.conditions) is not None for trial in trials) > DISTURBED_SHARE * len(trials)


def describe_conditions(trials: list[StoredTrial], scatter: float | None = None) -> RunConditions:
    """What else the machine did during the trials, and the warnings that follow, each with what to do next.

    ``scatter``: the standard deviation of one trial, as a ratio. A canary that varies is warned of only where the
    trials scatter too, and are shown to be slower when the canary is.
    """
    measured = [trial for trial in trials if trial.result is not None]
    canaries = [_canary_s(trial) for trial in measured]
    spread = None
    if len(canaries) > 1:
        low, *_, high = quantiles(canaries, n=20, method="inclusive")
        spread = high / low
    found = _gather([trial.conditions for trial in trials if trial.conditions], spread, _is_related(measured))
    scatters = scatter is None or scatter > CANARY_DRIFT
    return replace(found, warnings=tuple(_warnings(found, scatters, "trial")))


def warnings_of(conditions: list[Conditions], what: str) -> list[str]:
    """Warnings on processes that are no trials, from their conditions. ``what``: the word for one of them."""
    return list(_warnings(_gather(conditions, None, False), False, what))


def _canary_s(trial: StoredTrial) -> float:
    return min(trial.timed.canary_s)


def _is_related(trials: list[StoredTrial]) -> bool:
    """Whether trials of the same combination are shown to be slower when the canary beside them is (RELATED)."""
    by_layers: dict[Layers, list[tuple[float, float]]] = defaultdict(list)
    for trial in trials:
        if trial.status == "ok":
            by_layers[trial.spec.layers].append((math.log(_canary_s(trial)), -math.log(steady_speed(trial.timed))))
    apart = [np.array(found) - np.mean(found, axis=0) for found in by_layers.values()]
    degrees = sum(len(found) - 1 for found in apart) - 1
    if degrees < 1:
        return False
    canaries, times = np.concatenate(apart).T
    lengths = math.sqrt(float(canaries @ canaries) * float(times @ times))
    correlation = float(canaries @ times) / lengths if lengths > ROUNDING else 0.0
    if correlation <= 0:
        return False
    statistic = correlation * math.sqrt(degrees / max(1 - correlation**2, sys.float_info.epsilon))
    return t_two_sided_p(statistic, degrees) < RELATED


def _gather(conditions: list[Conditions], canary_spread: float | None, canary_related: bool) -> RunConditions:
    loads = [c.other_cores for c in conditions if c.other_cores is not None]
    return RunConditions(
        other_cores=median(loads) if loads else None,
        other_cores_worst=max(loads, default=None),
        busy_trials=sum(map(are_disturbed, conditions)),
        canary_spread=canary_spread,
        canary_related=canary_related,
        power=tuple(sorted({c.power for c in conditions if c.power})),
        low_power=any(c.low_power for c in conditions),
        thermal=tuple(sorted({c.thermal for c in conditions if c.thermal})),
    )


def _warnings(found: RunConditions, scatters: bool, what: str) -> Iterator[str]:
    busy, spread, several = found.busy_trials, found.canary_spread, f"{what}{'es' if what.endswith('s') else 's'}"
    if busy:
        yield (
            f"other processes kept up to {found.other_cores_worst:.1f} cores busy while {busy} "
            f"{what if busy == 1 else several} ran, which can distort every figure: close them and run again"
        )
    if scatters and found.canary_related and spread is not None and spread > CANARY_DRIFT:
        yield (
            f"the machine's speed varied by {spread - 1:.0%} during the run (a fixed computation beside the trials, "
            "5th to 95th percentile), and trials were slower when it was slow: more blocks help"
        )
    if "battery" in found.power:
        yield f"some {several} ran on battery: connect the machine to the mains"
    if found.low_power:
        yield "low-power mode was on: switch it off"
    if set(found.thermal) - {"nominal"}:
        yield f"the machine was under thermal pressure ({', '.join(found.thermal)}): let it cool down"

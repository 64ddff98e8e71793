"""Which layers did anything: by their own proof, else by fingerprints of updates, else by their time. Pure.

A combination is compared with the same one without the layer, at equal seeds. If neither what an update asks of torch
nor the speed differs, the layer did nothing, and gets no number.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.records.results import TrialResult
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import LEAST_DEGREES, ROUNDING
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.summary.rows import Engagement
from m2bench.text.figures import digits, times_within

from .fingerprints import Fingerprints, Trait, named
from .responses import fit, speed

SHOWN_AT = 0.99
"""Confidence of the interval that shows an effect on the time: a layer that does nothing seems to have one in 1 of 100
runs."""
MOST_MISSED = 1.25
"""The largest effect on the time that may be missed of a layer that is said to have done nothing."""
MOST_UNSTABLE = 0.5
"""Share of the baseline's operators that may differ at equal seeds; with more, fingerprints say too little."""
NOTHING_DIFFERS = "nothing that torch does differs"
VARIES_BY_ITSELF = "what differs with it also differs between trials of the same combination"
NOT_COMPARED = "it did nothing where the same combination ran without it as well, which this one did not"


@dataclass(frozen=True)
class JudgedRun:
    """A run's trials, with those marked in which a layer did nothing, and what each layer did."""

    trials: list[StoredTrial]
    layers: Mapping[str, Engagement]


@dataclass(frozen=True)
class _Found:
    """What a layer did, and in which combinations it did nothing (``idle``), with the reason."""

    engagement: Engagement
    idle: Mapping[Layers, str]


def judge_engagement(record: RunRecord, trials: list[StoredTrial]) -> JudgedRun:
    """Judge every layer that takes part, and mark the trials of combinations with one that did nothing."""
    timed = [trial for trial in trials if trial.spec.kind == "speed" and isinstance(trial.result, TrialResult)]
    sound = [trial for trial in timed if trial.status == "ok"]
    prints = Fingerprints(sound)
    if why := _why_unproved(record, prints):
        unproved = _Found(Engagement("unproved", why), {})
        found = {layer: _by_proofs(layer, timed) or unproved for layer in record.spec.layers}
    else:
        speeds = fit(record.spec.layers, sound, speed)
        found = {
            layer: _by_proofs(layer, timed) or _by_fingerprints(layer, prints, speeds) for layer in record.spec.layers
        }
    idle: defaultdict[Layers, list[str]] = defaultdict(list)
    for layer, each in found.items():
        for combination, why in each.idle.items():
            idle[combination].append(f"{layer}: {why}")
    return JudgedRun(
        [_marked(trial, idle.get(trial.spec.layers, ())) for trial in trials],
        {layer: each.engagement for layer, each in found.items()},
    )


def _marked(trial: StoredTrial, reasons: Sequence[str]) -> StoredTrial:
    if not reasons or trial.status != "ok":
        return trial
    return replace(trial, status="not-engaged", reason="; ".join(reasons))


def _by_proofs(layer: str, timed: list[StoredTrial]) -> _Found | None:
    """By what the system itself says; None where it says nothing of this layer."""
    proofs = [trial.timed.proofs[layer] for trial in timed if layer in trial.timed.proofs]
    if not proofs:
        return None
    reasons = [proof.reason or "" for proof in proofs if not proof.engaged]
    return _Found(Engagement("not-engaged", reasons[0]) if reasons else Engagement("engaged", "by its own proof"), {})


def _why_unproved(record: RunRecord, prints: Fingerprints) -> str | None:
    """Why no layer of this system can be judged by fingerprints, or None."""
    if record.description.workload.own_program:
        return "m2bench cannot see inside a command"
    if not prints.combinations:
        return "no update was looked at"
    if prints.unstable_share > MOST_UNSTABLE:
        return f"at equal seeds the baseline repeats only {1 - prints.unstable_share:.0%} of its operators"
    return None


def _by_fingerprints(layer: str, prints: Fingerprints, speeds: Effects) -> _Found:
    """By the pairs of combinations that differ in this layer alone; without any, by what always comes with it."""
    pairs = prints.pairs(layer)
    if not pairs:
        return _by_what_follows(layer, prints)
    differs = frozenset[Trait]().union(*(differing.by_layer for differing in pairs.values()))
    equal = [combination for combination, differing in pairs.items() if differing.nothing]
    effect = _effect_on_time(layer, equal, speeds)
    is_idle = effect is not None and not effect.shows_effect and _largest(effect) <= MOST_MISSED
    because = f"{NOTHING_DIFFERS}, and no effect on the time is shown: {times_within(effect)} at {SHOWN_AT:.0%}"
    if differs:
        changed = Engagement("engaged", f"what differs with it: {named(differs)}")
        return _Found(changed, dict.fromkeys(equal, because) if is_idle else {})
    if not equal:
        return _Found(Engagement("unproved", VARIES_BY_ITSELF), {})
    if effect is None:
        too_few = f"{NOTHING_DIFFERS}, and the trials are too few to tell whether the time does"
        return _Found(Engagement("unproved", too_few), {})
    if effect.shows_effect:
        return _Found(Engagement("outside torch", f"{NOTHING_DIFFERS}; {times_within(effect)} at {SHOWN_AT:.0%}"), {})
    missed = f"An effect of up to {digits(100 * (_largest(effect) - 1))} % could be missed"
    if not is_idle:
        return _Found(Engagement("unproved", f"{because}. {missed}: more blocks would tell"), {})
    unlike = {combination: VARIES_BY_ITSELF if combination in pairs else NOT_COMPARED for combination in speeds.cells}
    idle = {c: because if c in equal else why for c, why in unlike.items() if layer in c}
    looked_at = f"{because}. {missed}; more blocks would show a smaller one. Looked at: {prints.looked_at}"
    return _Found(Engagement("not-engaged", looked_at), idle)


def _by_what_follows(layer: str, prints: Fingerprints) -> _Found:
    if differs := prints.following(layer):
        return _Found(Engagement("engaged", f"what differs with it: {named(differs)}"), {})
    return _Found(Engagement("unproved", "no two trials that ended well differ in this layer alone"), {})


def _largest(effect: Figure) -> float:
    """The largest effect, in either direction, that the interval holds, as a ratio."""
    low, high = effect.interval or (1.0, 1.0)
    return max(high, 1 / low)


def _effect_on_time(layer: str, combinations: list[Layers], speeds: Effects) -> Figure | None:
    """How many times faster these are than the same without the layer, with an interval of SHOWN_AT.

    Pairs count by their numbers of trials. None where the trials do not tell how much one scatters.
    """
    weights: dict[Layers, float] = {}
    counts = {cell: sum(o.layers == cell for o in speeds.observations) for cell in speeds.cells}
    for with_it in combinations:
        without = tuple(other for other in with_it if other != layer)
        weights[with_it] = 1 / (1 / counts[with_it] + 1 / counts[without])
        weights[without] = -weights[with_it]
    total = sum(map(abs, weights.values())) / 2
    effect = speeds.contrast({cell: weight / total for cell, weight in weights.items()}) if weights else None
    if effect is None or effect.log_se is None or effect.degrees is None:
        return None
    # A few noisy combinations may make up most of the scatter; then it is known less well than it seems.
    degrees = min(effect.degrees, LEAST_DEGREES)
    half = max(t_quantile((1 + SHOWN_AT) / 2, degrees) * effect.log_se, ROUNDING)
    return Figure(effect.ratio, (effect.ratio * math.exp(-half), effect.ratio * math.exp(half)))

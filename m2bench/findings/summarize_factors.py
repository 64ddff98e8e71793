"""From the learning trials of ``ablate --factors`` to figures: which way of learning reaches the target soonest. Pure.

A seed is one observation: all combinations are trained with the same ones, and are compared within them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from m2bench.plan.designs import count_trials
from m2bench.plan.factors_trials import factors_of
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.factors_spec import Factor
from m2bench.records.figure import Figure
from m2bench.statistics.estimate import CONFIDENCE, figure_of, mean_ratio
from m2bench.statistics.learning_curve import rounding_variance, seconds_until, setbacks
from m2bench.store.stored_trial import RunRecord, StoredTrial, settled
from m2bench.summary.factors_summary import FactorEffect, FactorsSummary, WayOfLearning
from m2bench.summary.subject import MeasuredOn, Trained

from .learning_verdict import t_interval
from .noise import warnings_of

FACTORS_SCHEMA = 1


@dataclass(frozen=True)
class Learned:
    """One trial that reached the target. ``rounding``: the variance of the logarithm of its arrival, from rounding."""

    seconds: float
    episodes: float
    rounding: float
    setbacks: float | None


@dataclass(frozen=True)
class Ratio:
    """Of two arrivals: its logarithm, and the variance that this has from rounding."""

    log: float
    rounding: float


Ways = Mapping[Layers, Mapping[int, Learned]]
"""By combination of factors and by seed, the trials that reached the target; complete combinations alone."""


def summarize_factors(run: str, record: RunRecord, attempts: list[StoredTrial]) -> FactorsSummary:
    """The summary of a run of ``ablate --factors``, finished or not, from all trials that it has stored."""
    factors = record.spec.factors
    assert factors is not None
    trials: dict[Layers, list[StoredTrial]] = defaultdict(list)
    for trial in settled(attempts):
        trials[factors_of(trial.spec)].append(trial)
    complete = {chosen: _learned(own) for chosen, own in trials.items() if _why_incomplete(own) is None}
    conditions = [trial.conditions for own in trials.values() for trial in own if trial.conditions]
    soonest = _soonest(complete)
    return FactorsSummary(
        schema=FACTORS_SCHEMA,
        run=run,
        started=record.started,
        trials_done=sum(map(len, trials.values())),
        trials_planned=count_trials(record.spec),
        system=record.description.system,
        machine=MeasuredOn(record.description.machine, record.description.device),
        workload=Trained(record.description.workload, record.spec),
        layers=factors.layers,
        seeds=len({trial.spec.seed for own in trials.values() for trial in own}),
        warnings=tuple(warnings_of(conditions, "trial")),
        ways=tuple(_way(chosen, trials.get(chosen, [])) for chosen in factors.combinations),
        effects=tuple(_effect(factor, factors.combinations, complete) for factor in factors.factors),
        soonest=soonest,
        rivals=tuple(_rivals(soonest, complete)) if soonest is not None else (),
    )


def _why_incomplete(own: list[StoredTrial]) -> str | None:
    """Why a combination has no figures, or None."""
    if not own:
        return "not trained yet"
    failed = [trial for trial in own if trial.status != "ok"]
    if failed:
        return ": ".join(filter(None, (failed[0].status, failed[0].reason)))
    lost = sum(trial.episodes_to_target is None for trial in own)
    return f"{lost} of {len(own)} did not reach the target in their time" if lost else None


def _learned(own: list[StoredTrial]) -> dict[int, Learned]:
    found: dict[int, Learned] = {}
    for trial in own:
        if trial.learned is not None and trial.episodes_to_target is not None:
            curve, episodes = trial.learned.curve, trial.episodes_to_target
            found[trial.spec.seed] = Learned(
                seconds_until(curve, episodes), episodes, rounding_variance(curve, episodes), setbacks(curve)
            )
    return found


def _way(chosen: Layers, own: list[StoredTrial]) -> WayOfLearning:
    reason, found = _why_incomplete(own), _learned(own)
    whole = list(found.values()) if reason is None else []
    rounding = fmean(each.rounding for each in whole) if whole else 0.0
    return WayOfLearning(
        factors=chosen,
        trials=len(own),
        arrived=len(found),
        seconds=figure_of(mean_ratio([math.log(each.seconds) for each in whole], rounding)),
        episodes=figure_of(mean_ratio([math.log(each.episodes) for each in whole], rounding)),
        setbacks=_mean(each.setbacks for each in whole),
        reason=reason,
    )


def _effect(factor: Factor, combinations: list[Layers], complete: Ways) -> FactorEffect:
    pairs = [(chosen, _without(chosen, factor.name)) for chosen in combinations if factor.name in chosen]
    alone = [pair for pair in pairs if pair[1] == BASELINE]

    def ratio(over: list[tuple[Layers, Layers]], of: str) -> Figure | None:
        by_seed = _mean_by_seed([_ratios(pair, complete, of) for pair in over])
        return figure_of(mean_ratio([each.log for each in by_seed], _rounding(by_seed)))

    return FactorEffect(
        name=factor.name,
        claim=factor.claim,
        seconds_alone=ratio(alone, "seconds"),
        seconds_mean=ratio(pairs, "seconds"),
        episodes_alone=ratio(alone, "episodes"),
        episodes_mean=ratio(pairs, "episodes"),
        setbacks=_setbacks_difference(alone[0], complete),
    )


def _without(chosen: Layers, factor: str) -> Layers:
    return tuple(name for name in chosen if name != factor)


def _ratios(pair: tuple[Layers, Layers], complete: Ways, of: str) -> Mapping[int, Ratio]:
    """By seed, the first combination's figure over the second's."""
    over, under = (complete.get(chosen, {}) for chosen in pair)
    return {
        seed: Ratio(
            math.log(getattr(over[seed], of) / getattr(under[seed], of)), over[seed].rounding + under[seed].rounding
        )
        for seed in over
        if seed in under
    }


def _mean_by_seed(each: list[Mapping[int, Ratio]]) -> list[Ratio]:
    """Of the seeds that all of them have."""
    return [
        Ratio(fmean(one[seed].log for one in each), fmean(one[seed].rounding for one in each) / len(each))
        for seed in _shared_seeds(each)
    ]


def _shared_seeds(each: Collection[Mapping[int, object]]) -> list[int]:
    return sorted(set.intersection(*map(set, each))) if each else []


def _rounding(ratios: Collection[Ratio]) -> float:
    return fmean(each.rounding for each in ratios) if ratios else 0.0


def _setbacks_difference(pair: tuple[Layers, Layers], complete: Ways) -> Figure | None:
    over, under = (complete.get(chosen, {}) for chosen in pair)
    both = [(over[seed].setbacks, under[seed].setbacks) for seed in sorted(over) if seed in under]
    return _mean(a - b for a, b in both if a is not None and b is not None)


def _mean(values: Iterable[float | None]) -> Figure | None:
    """With its interval where there are two or more."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Figure(known[0]) if known else None
    return Figure(fmean(known), t_interval(known, 1 - CONFIDENCE))


def _soonest(complete: Ways) -> Layers | None:
    """By the seeds that all complete ways have, since some are luckier than others; None without any."""
    seeds = _shared_seeds(complete.values())
    if not seeds:
        return None
    return min(complete, key=lambda chosen: fmean(math.log(complete[chosen][seed].seconds) for seed in seeds))


def _rivals(soonest: Layers, complete: Ways) -> Iterable[Layers]:
    """The ways that are not shown to take longer, all comparisons together (Bonferroni)."""
    others = [chosen for chosen in complete if chosen != soonest]
    for chosen in others:
        ratios = _ratios((chosen, soonest), complete, "seconds").values()
        logs, outside = [each.log for each in ratios], (1 - CONFIDENCE) / len(others)
        if len(logs) < 2 or t_interval(logs, outside, _rounding(ratios))[0] <= 0:
            yield chosen

"""From the learning trials of ``ablate --factors`` to figures: which way of learning reaches the target soonest. Pure.

A seed is one observation: all combinations are trained with the same ones, and are compared within them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from m2bench.plan.designs import count_trials
from m2bench.plan.factors_trials import factors_of
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.factors_spec import Factor, Factors
from m2bench.records.figure import Figure
from m2bench.statistics.estimate import CONFIDENCE, figure_of, mean_ratio
from m2bench.statistics.learning_curve import rounding_variance, seconds_until, setbacks
from m2bench.statistics.spread import scatter_ratio, typical_factor
from m2bench.store.stored_trial import RunRecord, StoredTrial, settled
from m2bench.summary.factors_summary import (
    FactorEffect,
    FactorsSummary,
    LayerWorth,
    Soonest,
    Steadiness,
    WayOfLearning,
    judge_claim,
)
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

    @property
    def pace(self) -> float:
        """Seconds per episode."""
        return self.seconds / self.episodes


@dataclass(frozen=True)
class Ratio:
    """Of two arrivals: its logarithm, and the variance that this has from rounding."""

    log: float
    rounding: float


Pair = tuple[Layers, Layers]
"""Two combinations that differ in one factor or layer: with it, and without."""
Ways = Mapping[Layers, Mapping[int, Learned]]
"""By combination and by seed, the trials that reached the target; complete combinations alone."""


def summarize_factors(run: str, record: RunRecord, attempts: list[StoredTrial]) -> FactorsSummary:
    """The summary of a run of ``ablate --factors``, finished or not, from all trials that it has stored."""
    factors = record.spec.factors
    assert factors is not None
    trials: dict[Layers, list[StoredTrial]] = defaultdict(list)
    for trial in settled(attempts):
        trials[factors_of(trial.spec)].append(trial)
    complete = {chosen: _learned(own) for chosen, own in trials.items() if _why_incomplete(own) is None}
    conditions = [trial.conditions for own in trials.values() for trial in own if trial.conditions]
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
        crossed=factors.crossed,
        seeds=len({trial.spec.seed for own in trials.values() for trial in own}),
        device_faults=record.prepared.device_faults or (),
        warnings=tuple(warnings_of(conditions, "trial")),
        ways=tuple(_way(chosen, trials.get(chosen, []), complete) for chosen in factors.combinations),
        effects=tuple(_effect(factor, factors.combinations, complete) for factor in factors.factors),
        worth=tuple(
            _worth(layer, way, factors, complete) for layer in factors.crossed for way in (None, *factors.ways)
        ),
        soonest_by_seconds=_soonest("seconds", complete),
        soonest_by_episodes=_soonest("episodes", complete),
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


def _way(chosen: Layers, own: list[StoredTrial], complete: Ways) -> WayOfLearning:
    over_plain = [(chosen, BASELINE)] if chosen else []
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
        spread=figure_of(typical_factor([math.log(each.episodes) for each in whole])),
        seconds_over_plain=_mean_of_pairs(over_plain, complete, "seconds"),
        episodes_over_plain=_mean_of_pairs(over_plain, complete, "episodes"),
        steadiness_over_plain=_steadiness(over_plain, complete),
        reason=reason,
    )


def _effect(factor: Factor, combinations: list[Layers], complete: Ways) -> FactorEffect:
    pairs = _pairs(factor.name, combinations)
    alone = [pair for pair in pairs if pair[1] == BASELINE]
    found = FactorEffect(
        name=factor.name,
        claim=factor.claim,
        claims=factor.claims,
        seconds_alone=_mean_of_pairs(alone, complete, "seconds"),
        seconds_mean=_mean_of_pairs(pairs, complete, "seconds"),
        episodes_alone=_mean_of_pairs(alone, complete, "episodes"),
        episodes_mean=_mean_of_pairs(pairs, complete, "episodes"),
        steadiness_alone=_steadiness(alone, complete),
        steadiness_mean=_steadiness(pairs, complete),
        verdict="not shown",
    )
    steadiness = found.steadiness_mean
    by_time, steadily = [found.is_sooner], [steadiness.on_the_way, steadiness.between_seeds]
    return replace(found, verdict=judge_claim(*(by_time if factor.claims == "time" else steadily)))


def _worth(layer: str, way: Layers | None, factors: Factors, complete: Ways) -> LayerWorth:
    pairs = [
        pair
        for pair in _pairs(layer, factors.combinations)
        if way is None or tuple(name for name in pair[1] if name in factors.names) == way
    ]
    pace, episodes, seconds = (_mean_of_pairs(pairs, complete, of) for of in ("pace", "episodes", "seconds"))
    return LayerWorth(layer, way, pace, episodes, seconds)


def _pairs(name: str, combinations: list[Layers]) -> list[Pair]:
    return [(chosen, tuple(other for other in chosen if other != name)) for chosen in combinations if name in chosen]


def _mean_of_pairs(pairs: list[Pair], complete: Ways, of: str) -> Figure | None:
    """The ratio of a figure of ``Learned``, in each seed the mean over the pairs."""
    by_seed = _mean_by_seed([_ratios(pair, complete, of) for pair in pairs])
    return figure_of(mean_ratio([each.log for each in by_seed], _rounding(by_seed)))


def _ratios(pair: Pair, complete: Ways, of: str) -> Mapping[int, Ratio]:
    """By seed, the first combination's figure over the second's. The pace has no rounding: its parts share it."""
    over, under = (complete.get(chosen, {}) for chosen in pair)
    rounded = 0.0 if of == "pace" else 1.0
    return {
        seed: Ratio(
            math.log(getattr(over[seed], of) / getattr(under[seed], of)),
            rounded * (over[seed].rounding + under[seed].rounding),
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


def _steadiness(pairs: list[Pair], complete: Ways) -> Steadiness:
    """Over the seeds that all of the pairs have, in each seed the mean over the pairs."""
    each = [tuple(complete.get(chosen, {}) for chosen in pair) for pair in pairs]
    seeds = _shared_seeds([own for pair in each for own in pair])
    differences = [[_difference(over[seed].setbacks, under[seed].setbacks) for over, under in each] for seed in seeds]
    over, under = ([[math.log(pair[side][seed].episodes) for seed in seeds] for pair in each] for side in (0, 1))
    return Steadiness(
        setbacks=_mean(fmean(known) for known in ([d for d in own if d is not None] for own in differences) if known),
        spread=figure_of(scatter_ratio(over, under)),
    )


def _difference(over: float | None, under: float | None) -> float | None:
    return None if over is None or under is None else over - under


def _mean(values: Iterable[float | None]) -> Figure | None:
    """With its interval where there are two or more."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Figure(known[0]) if known else None
    return Figure(fmean(known), t_interval(known, 1 - CONFIDENCE))


def _soonest(of: str, complete: Ways) -> Soonest | None:
    """By the seeds that all complete combinations have, since some are luckier than others; None without any.

    The rivals are those not shown to take longer, all comparisons together: since which one is the soonest was seen
    from the same trials, those are the comparisons of any two (Bonferroni).
    """
    seeds = _shared_seeds(complete.values())
    if not seeds:
        return None

    def mean_log(chosen: Layers) -> float:
        return fmean(math.log(getattr(complete[chosen][seed], of)) for seed in seeds)

    first, *others = sorted(complete, key=mean_log)
    outside = (1 - CONFIDENCE) / max(1, math.comb(len(complete), 2))

    def is_rival(chosen: Layers) -> bool:
        ratios = _ratios((chosen, first), complete, of).values()
        logs = [each.log for each in ratios]
        return len(logs) < 2 or t_interval(logs, outside, _rounding(ratios))[0] <= 0

    return Soonest(first, tuple(filter(is_rival, others)))

"""Does a layer learn the same? The verdict on what was compared, seed by seed. Pure.

Two responses are compared between trials that differ in one layer alone and share their seed: how far their learning
curves lie apart over the same episodes, and the ratio of the episodes that they take to the target. A seed is one
observation. A layer learns the *same* when both are shown to be small (two one-sided tests, TOST; Schuirmann, "A
comparison of the two one-sided tests procedure and the power approach for assessing the equivalence of average
bioavailability", 1987), not when no difference could be shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, variance

from m2bench.records.description import Unit
from m2bench.records.figure import Figure
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.learning_curve import ROUNDING_VARIANCE
from m2bench.summary.rows import Sameness

MARGIN = 0.1  # of what there is to learn: the good policy's return over an ignorant one's
EPISODES_MARGIN = 1.25  # ratio of the episodes to the target, either way
UNIT = Unit()
SIGNIFICANCE = 0.05

BySeed = dict[int, float]


@dataclass(frozen=True)
class LearningEffects:
    """A layer's effects on learning, one value per seed.

    ``distances``: of the learning curves, as a share of what there is to learn (below 0: learns less).
    ``log_ratios``: of the episodes to the target. ``all_arrived``: whether every trial that was compared did.
    ``curves`` and ``arrival``: the words for what was compared. ``rounding``: the variance that a ratio has because
    arrivals are rounded. ``nothing``: why there is nothing to compare.
    """

    distances: BySeed
    log_ratios: BySeed
    all_arrived: bool
    curves: str = "learning curves"
    arrival: str = "to the target"
    rounding: float = 2 * ROUNDING_VARIANCE
    nothing: str | None = None


@dataclass(frozen=True)
class LearningVerdict:
    """Whether a layer learns the same from the same units: ``same``, ``changed``, ``undecided``, ``not told``."""

    verdict: Sameness
    reason: str
    effect: Figure | None = None
    seeds: int = 0


def judge_learning(found: LearningEffects, judged_layers: int, unit: Unit = UNIT) -> LearningVerdict:
    """Same, changed or undecided.

    Same: the 90 % t intervals of both responses lie within their margins, which is TOST at 5 %. Changed: an interval
    leaves out no effect, the error of 5 % being shared among both responses of all ``judged_layers`` (Bonferroni).
    """
    seeds = len(found.distances)
    if found.nothing:
        return LearningVerdict("undecided", found.nothing)
    if seeds < 2:
        return LearningVerdict(
            "undecided", f"{seeds} {'seed' if seeds == 1 else 'seeds'} compared, at least two are needed", seeds=seeds
        )
    responses = (
        (list(found.distances.values()), MARGIN, 0.0),
        (list(found.log_ratios.values()), math.log(EPISODES_MARGIN), found.rounding),
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
        reason = f"{found.curves} within {MARGIN:.0%}, {unit.many} {found.arrival} within {EPISODES_MARGIN}x"
        return LearningVerdict("same", reason, effect, seeds)
    if changed:
        less = effect.value < 0 or (effect.value == 0 and fmean(responses[1][0]) > 0)
        return LearningVerdict(
            "changed", f"learns {'less' if less else 'more'} from the same {unit.many}", effect, seeds
        )
    return LearningVerdict("undecided", "neither a difference nor equality is shown", effect, seeds)


def t_interval(values: list[float], outside: float, rounding: float = 0.0) -> tuple[float, float]:
    """The t interval of the mean, outside of which this share of the probability lies.

    ``rounding``: the variance of the rounding of a value. It is added to the scatter, since a few seeds that are
    rounded alike would seem not to scatter at all.
    """
    centre, error = fmean(values), math.sqrt((variance(values) + rounding) / len(values))
    half = t_quantile(1 - outside / 2, len(values) - 1) * error if error else 0.0
    return centre - half, centre + half

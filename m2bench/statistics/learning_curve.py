"""A learning curve: when it is evaluated, when it has reached its target, how far two of them lie apart.

A curve has one point for each number of ``evaluation_episodes``, from the first on, so that the points of two curves
lie side by side, whatever their episodes per update.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from m2bench.records.results import CurvePoint

Curve = Sequence[CurvePoint]

FIRST_EVALUATION = 8  # episodes
EVALUATION_SPACING = 1.1  # each evaluation at this many times the episodes of the one before
ROUNDING_VARIANCE = math.log(EVALUATION_SPACING) ** 2 / 12
"""Of the logarithm of an arrival, which is seen between two evaluations: anywhere there with equal probability."""
WINDOW = 6  # evaluations that count together: a single one goes up and down with every update


def evaluation_episodes(first: float = FIRST_EVALUATION) -> Iterator[float]:
    """The numbers of episodes after which a policy is evaluated, evenly spread on a logarithmic scale.

    Whole numbers, where a tenth of them is about one episode or more.
    """
    number = first
    while True:
        yield number
        number *= EVALUATION_SPACING
        if number > FIRST_EVALUATION:
            number = math.ceil(number)


def arrival(curve: Curve, target: float, falls: bool = False) -> float | None:
    """After how many episodes the mean of the last WINDOW evaluations reached the target; None when it never did.

    It is interpolated on the logarithmic scale between the evaluations before and after it; what is reached with the
    first whole window is not resolved further. The window spans two fifths of the training so far, whatever the
    episodes per update. The untrained policy does not count. ``falls``: the target is reached from above.
    """
    trained = [point for point in curve if point.episodes]
    before: float | None = None
    for end in range(WINDOW, len(trained) + 1):
        mean = fmean(point.mean_return for point in trained[end - WINDOW : end])
        if (mean <= target) if falls else (mean >= target):
            after = float(trained[end - 1].after)
            if before is None:
                return after
            share = (target - before) / (mean - before)
            return float(trained[end - 2].after ** (1 - share) * after**share)
        before = mean
    return None


def seconds_until(curve: Curve, episodes: float) -> float:
    """Seconds of training after so many episodes, on the straight line between the evaluations before and after."""
    reached = next(index for index, point in enumerate(curve) if point.after >= episodes)
    if not reached:
        return curve[0].train_s
    before, after = curve[reached - 1], curve[reached]
    share = (episodes - before.after) / (after.after - before.after)
    return before.train_s + share * (after.train_s - before.train_s)


def rounding_variance(curve: Curve, episodes: float) -> float:
    """Of the logarithm of an arrival, which lies anywhere between the evaluations before and after it."""
    after = [point.after for point in curve]
    reached = next(index for index, each in enumerate(after) if each >= episodes)
    return math.log(after[reached] / after[reached - 1]) ** 2 / 12 if reached else 0.0


def progress(curves: Sequence[Curve], target: float, falls: bool = False) -> list[tuple[float, float]]:
    """How far several seeds have come: after so many episodes, the mean over them of what ``arrival`` looks at.

    A seed that has arrived stays at the target. The list ends with the last seed, or where one gave up before.
    """
    arrivals = [arrival(curve, target, falls) for curve in curves]
    come: list[tuple[float, float]] = []
    for index, after in enumerate(point.after for point in max(curves, key=len, default=())):
        returns = []
        for curve, arrived in zip(curves, arrivals, strict=True):
            if arrived is not None and after >= arrived:
                returns.append(target)
            elif index < len(curve):
                returns.append(fmean(point.mean_return for point in curve[max(0, index - WINDOW + 1) : index + 1]))
            else:
                return come
        come.append((after, fmean(returns)))
    return come


def distance(curve: Curve, other: Curve) -> float:
    """How far ``other`` lies above ``curve``: the mean over the evaluations that both have.

    From the first one after an update of both; 0 where there is none.
    """
    common = [(a, b) for a, b in zip(curve, other, strict=False) if a.episodes and b.episodes]
    return fmean(b.mean_return - a.mean_return for a, b in common) if common else 0.0


def setbacks(curve: Curve, falls: bool = False) -> float | None:
    """The share of the return's movement from evaluation to evaluation that goes down; None where nothing moves.

    With ``falls``, the share that goes up. 0 is steady progress, 1/2 is none. A policy that is evaluated again before
    its next update does not move.
    """
    returns = [point.mean_return for point in curve if point.episodes]
    steps = [(before - after) if falls else (after - before) for before, after in pairwise(returns)]
    moved = sum(map(abs, steps))
    return -sum(step for step in steps if step < 0) / moved if moved else None

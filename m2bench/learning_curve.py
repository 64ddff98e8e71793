"""A learning curve: when it is evaluated, when it has reached its target, how far two of them lie apart.

A curve is a list of points in the order of training: ``episodes`` learned from, ``return`` of the policy then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import takewhile
from statistics import mean
from typing import Any

Curve = list[dict[str, Any]]

FIRST_EVALUATION = 8  # episodes
EVALUATION_SPACING = 1.1  # each evaluation at this many times the episodes of the one before
EVALUATIONS_TO_AGREE = 4  # a single evaluation goes up and down with every update


def evaluation_episodes() -> Iterator[int]:
    """The numbers of episodes after which a policy is evaluated, evenly spread on a logarithmic scale.

    A combination that takes more episodes per update is evaluated after the next update that reaches the number.
    """
    number = FIRST_EVALUATION
    while True:
        yield number
        number = math.ceil(number * EVALUATION_SPACING)


def has_reached(curve: Curve, target_return: float) -> bool:
    """Whether the mean of the last evaluations, all of them after some training, reaches the target."""
    last = curve[1:][-EVALUATIONS_TO_AGREE:]
    return len(last) == EVALUATIONS_TO_AGREE and mean(point["return"] for point in last) >= target_return


def distance(curve: Curve, other: Curve) -> float:
    """How far ``other`` lies above ``curve``: the mean over the evaluations that both have lived to see.

    Both are compared after the same number of episodes; a policy holds until its next update.
    """
    end = min(curve[-1]["episodes"], other[-1]["episodes"])
    common = takewhile(lambda episodes: episodes <= end, evaluation_episodes())
    return mean(return_after(other, episodes) - return_after(curve, episodes) for episodes in common)


def return_after(curve: Curve, episodes: int) -> float:
    """The last evaluation after at most so many episodes."""
    value: float = [point["return"] for point in curve if point["episodes"] <= episodes][-1]
    return value

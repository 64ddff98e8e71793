"""How far phases and operators predict the change that a profile measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from m2bench.records.figure import Figure
from m2bench.statistics.estimate import Estimate, mean_ratio

from .profile_records import Predictions, ProfiledSide


def predictions(before: ProfiledSide, after: ProfiledSide) -> Predictions:
    """The change that was measured, and what phases and operators predict of it."""
    measured = _logs(before.undisturbed_each_ms, after.undisturbed_each_ms)
    dispatches = [side.count("dispatches") for side in (before, after)]
    found = Predictions(_mean(measured), None, None, dispatches[0] / dispatches[1] if all(dispatches) else None)
    if not before.phases_ms:
        return found
    phases = _logs(*([sum(each.values()) for each in side.phases_each_ms] for side in (before, after)))
    # What the machine does to a process affects both of its measurements: the remainder is known better than either.
    remainder = [m - p for m, p in zip(measured, phases, strict=True)]
    return replace(found, phases=_mean(phases), remainder=_mean(remainder))


def _mean(logs: list[float]) -> Figure:
    estimate = mean_ratio(logs)
    assert estimate is not None, "each side has a process"
    return estimate.figure


def adds_up(side: ProfiledSide) -> Estimate | None:
    """The sum of the phases over a unit timed as a whole, without what timing the phases takes; over the processes."""
    return mean_ratio(_logs([sum(each.values()) for each in side.phases_each_ms], side.undisturbed_each_ms))


def _logs(over: Sequence[float], under: Sequence[float]) -> list[float]:
    return [math.log(a / b) for a, b in zip(over, under, strict=True)]

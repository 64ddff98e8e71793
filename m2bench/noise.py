"""The noise of a run, from its anchors: trials of the baseline that differ in nothing but the moment."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median, quantiles, stdev
from typing import Any

import numpy as np

from .conditions import are_disturbed
from .distributions import t_quantile
from .steady import steady_speed
from .store import StoredTrial

DISTURBED_SHARE = 0.25  # of the trials
CANARY_DRIFT = 1.05


@dataclass(frozen=True)
class Noise:
    """Ratios of identical trials, which ought to be 1.

    ``aa_ratio`` with its 95 % ``aa_ci``: half of the anchors against the other half. ``aa_typical``, ``aa_worst``:
    how far two anchors next to each other lie apart, whichever is faster. ``drift``: the last anchor over the first,
    by a line through all.
    """

    aa_ratio: float | None = None
    aa_ci: tuple[float, float] | None = None
    aa_pairs: int = 0
    aa_typical: float | None = None
    aa_worst: float | None = None
    drift: float | None = None
    drift_ci: tuple[float, float] | None = None


def measure_noise(anchors: list[StoredTrial]) -> Noise:
    """From the anchors that are ok, in the order in which they were run."""
    speeds: dict[int, list[float]] = defaultdict(list)
    for trial in anchors:
        if trial.status == "ok":
            speeds[trial.spec.block].append(math.log(steady_speed(trial.result)))
    steps = [abs(b - a) for block in speeds.values() for a, b in pairwise(block)]
    if not steps:
        return Noise()
    ratio, interval, pairs = _halves(list(speeds.values()))
    drift, drift_interval = _drift([speed for block in speeds.values() for speed in block])
    return Noise(ratio, interval, pairs, math.exp(median(steps)), math.exp(max(steps)), drift, drift_interval)


def _halves(blocks: list[list[float]]) -> tuple[float, tuple[float, float] | None, int]:
    """Pairs of neighbours, each anchor in one; which half comes first alternates, so that drift cancels."""
    pairs = [pair for block in blocks for pair in zip(block[::2], block[1::2], strict=False)]
    differences = [(b - a) * (-1) ** index for index, (a, b) in enumerate(pairs)]
    centre = mean(differences)
    if len(differences) < 2:
        return math.exp(centre), None, len(pairs)
    half = t_quantile(0.975, len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
    return math.exp(centre), (math.exp(centre - half), math.exp(centre + half)), len(pairs)


def _drift(speeds: list[float]) -> tuple[float | None, tuple[float, float] | None]:
    if len(speeds) < 3:
        return None, None
    (slope, _), covariance = np.polyfit(range(len(speeds)), speeds, 1, cov=True)
    half_slope = t_quantile(0.975, len(speeds) - 2) * math.sqrt(covariance[0, 0])
    change, half = (float(value) * (len(speeds) - 1) for value in (slope, half_slope))
    return math.exp(change), (math.exp(change - half), math.exp(change + half))


def busy_cores(trial: StoredTrial) -> float | None:
    """How many cores other processes kept busy beside the trial, where that is more than a desktop at rest does."""
    return float(trial.conditions["other_cores"]) if are_disturbed(trial.conditions) else None


def is_disturbed(trials: list[StoredTrial]) -> bool:
    """Whether so many trials ran beside other load that no claim can be judged by them."""
    return sum(busy_cores(trial) is not None for trial in trials) > DISTURBED_SHARE * len(trials)


def describe_conditions(trials: list[StoredTrial], scatter: float | None = None) -> dict[str, Any]:
    """What else the machine did during the trials, and the warnings that follow, each with what to do next.

    ``scatter``: the standard deviation of one trial, as a ratio; where trials repeat well, a canary that varies says
    little.
    """
    canaries = [min(trial.result["canary_s"]) for trial in trials if "canary_s" in trial.result]
    spread = None
    if len(canaries) > 1:
        low, high = quantiles(canaries, n=20)[0], quantiles(canaries, n=20)[-1]
        spread = high / low
    found = _gather([trial.conditions for trial in trials if trial.conditions], spread)
    found["repeated_trials"] = sum(trial.spec.repeats is not None for trial in trials)
    return {**found, "warnings": list(_warnings(found, scatter is None or scatter > CANARY_DRIFT, "trial"))}


def warnings_of(conditions: list[dict[str, Any]], what: str) -> list[str]:
    """The same warnings from the conditions of others than trials; ``what`` is the word for one of them."""
    return list(_warnings(_gather(conditions, None), False, what))


def _gather(conditions: list[dict[str, Any]], canary_spread: float | None) -> dict[str, Any]:
    loads = [c["other_cores"] for c in conditions if c["other_cores"] is not None]
    return {
        "other_cores": median(loads) if loads else None,
        "other_cores_worst": max(loads, default=None),
        "busy_trials": sum(map(are_disturbed, conditions)),
        "canary_spread": canary_spread,
        "power": sorted({c["power"] for c in conditions if c["power"]}),
        "low_power": any(c["low_power"] for c in conditions),
        "thermal": sorted({c["thermal"] for c in conditions if c["thermal"]}),
    }


def _warnings(found: dict[str, Any], scatters: bool, what: str) -> Iterator[str]:
    busy, several = found["busy_trials"], f"{what}{'es' if what.endswith('s') else 's'}"
    if busy:
        yield (
            f"other processes kept up to {found['other_cores_worst']:.1f} cores busy beside {busy} "
            f"{what if busy == 1 else several}, which can distort every figure here: close them and run again"
        )
    if scatters and found["canary_spread"] is not None and found["canary_spread"] > CANARY_DRIFT:
        yield (
            f"a fixed computation beside the trials took {found['canary_spread'] - 1:.0%} longer at some times than at "
            "others (5th to 95th percentile): the machine's own speed varies, and more blocks help"
        )
    if "battery" in found["power"]:
        yield f"some {several} ran on battery: connect the machine to the mains"
    if found["low_power"]:
        yield "low-power mode was on: switch it off"
    if set(found["thermal"]) - {"nominal"}:
        yield f"the machine was under thermal pressure ({', '.join(found['thermal'])}): let it cool, or cool it"

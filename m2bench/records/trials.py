"""What is stored of a run: what it was asked to do, and its trials."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .spec import RunSpec, TrialSpec

STATUSES = ("ok", "failed", "unsupported", "not-engaged")


@dataclass(frozen=True)
class StoredTrial:
    """One finished trial, which took ``elapsed_s`` with everything around it.

    ``result`` is what the worker measured; empty where it measured nothing. ``conditions`` is what the machine did
    meanwhile (conditions.py).
    """

    spec: TrialSpec
    started: str
    elapsed_s: float
    status: str
    reason: str | None
    log: str | None
    result: dict[str, Any]
    conditions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """What a run was asked to do, when it began (ISO, UTC), and what machine and workload it found."""

    spec: RunSpec
    started: str
    description: dict[str, Any]


def settled(attempts: list[StoredTrial]) -> list[StoredTrial]:
    """One attempt at every trial: the one beside the least load. What it measured has no say in that."""
    calmest: dict[str, StoredTrial] = {}
    for trial in attempts:
        key = trial.spec.repeats or trial.spec.key
        if key not in calmest or _load(trial) < _load(calmest[key]):
            calmest[key] = trial
    kept = {trial.spec.key for trial in calmest.values()}
    return [trial for trial in attempts if trial.spec.key in kept]


def _load(trial: StoredTrial) -> float:
    load = trial.conditions.get("other_cores")
    return math.inf if load is None else float(load)

"""What is stored of a run: what it was asked to do, and its trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

from m2bench.errors import UserError
from m2bench.options.run_spec import RunSpec
from m2bench.records.description import Description, Prepared
from m2bench.records.results import Conditions, LearningResult, TrialResult
from m2bench.records.spec import TrialKind, TrialSpec

Result = TrialResult | LearningResult
RESULTS: dict[TrialKind, type[TrialResult] | type[LearningResult]] = {
    "speed": TrialResult,
    "learning": LearningResult,
}
"""What each kind of trial measures."""


@dataclass(frozen=True)
class StoredTrial:
    """One finished trial, which took ``elapsed_s`` with everything around it.

    ``result`` is what the worker measured, and ``conditions`` what the machine did meanwhile; None for a trial that was
    not run, or failed.
    """

    spec: TrialSpec
    started: str
    elapsed_s: float
    status: str
    reason: str | None
    log: str | None
    result: Result | None
    conditions: Conditions | None = None

    @property
    def timed(self) -> TrialResult:
        """What a trial of the speed measured, of which it is known that it did."""
        assert isinstance(self.result, TrialResult)
        return self.result

    @property
    def learned(self) -> LearningResult | None:
        """What a learning trial measured; None for one that failed, and for any other trial."""
        return self.result if isinstance(self.result, LearningResult) else None

    @property
    def episodes_to_target(self) -> float | None:
        """Of a learning trial; None for one that did not get there, or failed, and for any other trial."""
        return None if self.learned is None else self.learned.episodes_to_target


@dataclass(frozen=True)
class RunRecord:
    """What a run was asked to do, when it began (ISO, UTC), what it found there, and what preparing its trials told."""

    spec: RunSpec
    started: str
    description: Description
    prepared: Prepared

    def refuse_without_layers(self) -> None:
        """Raise UserError for a run of ``scale`` or of ``ablate --factors``, which have no effects of layers."""
        if self.spec.scale is not None or self.spec.factors is not None:
            what = "m2bench scale" if self.spec.scale is not None else "m2bench ablate --factors"
            raise UserError(f"this is a run of {what}.", "Its figures are shown by m2bench report, and no more.")


def settled(attempts: list[StoredTrial]) -> list[StoredTrial]:
    """One attempt at every trial: the one beside the least load. What it measured has no say in that.

    Trials of blocks that were run again as a whole are left out.
    """
    calmest: dict[str, StoredTrial] = {}
    for trial in attempts:
        if trial.spec.set_aside:
            continue
        key = trial.spec.planned_key
        if key not in calmest or _load(trial) < _load(calmest[key]):
            calmest[key] = trial
    kept = {trial.spec.key for trial in calmest.values()}
    return [trial for trial in attempts if trial.spec.key in kept]


def _load(trial: StoredTrial) -> float:
    load = None if trial.conditions is None else trial.conditions.other_cores
    return math.inf if load is None else load

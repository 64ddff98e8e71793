"""Runs that trained the same things, and their effects over what all of them have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from m2bench.errors import UserError
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import RunRecord, StoredTrial

from .judged_trials import judge_trials
from .responses import speed_effects

ALONE = "alone"
EFFECTS: dict[str, Callable[[Effects, str], Estimate | None]] = {
    "Shapley value": lambda effects, layer: effects.shapley(layer)[0],
    "main effect": Effects.main_effect,
    ALONE: Effects.alone,
}
"""Of a layer, the one that tells most first."""


@dataclass(frozen=True)
class ComparableRun:
    """A run with its judged trials, and what its layers are worth by these."""

    record: RunRecord
    trials: list[StoredTrial]
    effects: Effects


def comparable_runs(stores: Sequence[Store]) -> list[ComparableRun]:
    """Raises UserError when the runs trained different things, or are no ablations."""
    records = [store.record() for store in stores]
    _refuse_different(records)
    judged = [judge_trials(record, store.trials()).trials for record, store in zip(records, stores, strict=True)]
    return [
        ComparableRun(record, trials, speed_effects(record.spec, trials))
        for record, trials in zip(records, judged, strict=True)
    ]


def _refuse_different(records: Sequence[RunRecord]) -> None:
    """Raise UserError when the runs trained different things, or are no ablations."""
    for record in records:
        record.refuse_without_layers()
    asked = [{**record.description.asked_of(record.spec.workload), "device": None} for record in records]
    names = dict.fromkeys(name for each in asked for name in each)
    options = [f"another {name}" for name in names if any(each.get(name) != asked[0].get(name) for each in asked)]
    markets = {record.description.workload.market.get("sha256") for record in records}
    if options or len(markets) > 1:
        raise UserError(
            f"the runs trained different things ({', '.join(options) or 'another market'}), so their figures cannot be "
            "compared.",
            "Compare runs of the same options.",
        )


def over_common(fits: Sequence[Effects]) -> list[Effects]:
    """The fits over the combinations that all have, and the layers that vary among these."""
    first = fits[0]
    if all(fit.cells == first.cells and fit.layers == first.layers for fit in fits):
        return [*fits]
    cells = [cell for cell in first.cells if all(cell in fit.cells for fit in fits)]
    layers = tuple(layer for layer in first.layers if any(layer in cell for cell in cells))
    return [
        Effects(layers, [o for o in fit.observations if o.layers in cells], fit.rules.among(layers)) for fit in fits
    ]

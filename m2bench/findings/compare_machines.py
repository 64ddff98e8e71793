"""What layers are worth on several machines, and whether that differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from m2bench.records.description import Description
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.homogeneity import difference_p
from m2bench.statistics.multiple_tests import holm
from m2bench.statistics.sequential import JOB_SD
from m2bench.store.results_database import Store
from m2bench.summary.machines_summary import LayerAcross, SideBySide

from .judged_trials import judge_trials
from .responses import speed_effects
from .shared_by_runs import over_common, refuse_different

ALONE = "alone"
EFFECTS: dict[str, Callable[[Effects, str], Estimate | None]] = {
    "Shapley value": lambda effects, layer: effects.shapley(layer)[0],
    "main effect": Effects.main_effect,
    ALONE: Effects.alone,
}
"""Of a layer, the one that tells most first."""
TOGETHER = "all together"


def compare_machines(stores: Sequence[Store]) -> SideBySide:
    """Every layer over the combinations that all runs with it have; where a run has it not, it is None.

    Whether a layer is worth the same everywhere is tested with what a run does to all of its trials (JOB_SD). Absolute
    speeds are not compared.

    Raises UserError when the runs trained different things, or are no ablations.
    """
    records = [store.record() for store in stores]
    refuse_different(records)
    trials = [judge_trials(record, store.trials()).trials for record, store in zip(records, stores, strict=True)]
    own = [speed_effects(record.spec, found) for record, found in zip(records, trials, strict=True)]
    layers = list(dict.fromkeys(layer for record in records for layer in record.spec.layers))
    rows, tests = [], []
    for layer in layers:
        having = [fit for fit in own if layer in fit.layers]
        common = over_common(having)
        can_compare = layer in common[0].layers
        effect, found = _effect_of(layer, common if can_compare else having)
        figures = iter(map(figure_of, found))
        rows.append(
            LayerAcross(layer, effect, tuple(next(figures) if layer in fit.layers else None for fit in own), None)
        )
        tests.append(difference_p([each for each in found if each is not None], JOB_SD) if can_compare else None)
    return SideBySide(
        runs=_names(stores),
        machines=tuple(_machine(record.description) for record in records),
        layers=(*_tested(rows, tests), _together(over_common(own))),
    )


def _effect_of(layer: str, fits: Sequence[Effects]) -> tuple[str, list[Estimate | None]]:
    """The first effect that all of these runs tell of; where there is none the layer alone."""
    told = {effect: [of(fit, layer) for fit in fits] for effect, of in EFFECTS.items()}
    for effect, found in told.items():
        if None not in found:
            return effect, found
    return ALONE, told[ALONE]


def _tested(rows: list[LayerAcross], tests: list[float | None]) -> list[LayerAcross]:
    known = [p for p in tests if p is not None]
    adjusted = iter(holm(known))
    return [row if p is None else replace(row, p_holm=next(adjusted)) for row, p in zip(rows, tests, strict=True)]


def _together(fits: Sequence[Effects]) -> LayerAcross:
    found = [fit.ratio(fit.all_together) for fit in fits]
    p = difference_p([each for each in found if each is not None], JOB_SD)
    return LayerAcross(None, TOGETHER, tuple(map(figure_of, found)), p)


def _names(stores: Sequence[Store]) -> tuple[str, ...]:
    """The folders' names, or their paths where two are called the same."""
    names = [store.folder.resolve().name for store in stores]
    paths = [str(store.folder) for store in stores]
    return tuple(names if len({*names}) == len(names) else paths)


def _machine(description: Description) -> str:
    machine, device = description.machine, description.device
    threads = f", {device.torch_threads} threads" if device.torch_threads else ""
    return f"{machine.chip}, {machine.memory_mb / 1e3:.0f} GB, {machine.system}, {device.device}{threads}"

"""What layers are worth on several machines, and whether that differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from m2bench.options.run_spec import RunSpec
from m2bench.records.description import Description
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.homogeneity import difference_p
from m2bench.statistics.multiple_tests import holm
from m2bench.statistics.sequential import JOB_SD
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.machines_summary import LayerAcross, SideBySide
from m2bench.text.figures import times

from .responses import sound_trials, speed_effects
from .shared_by_runs import ALONE, EFFECTS, comparable_runs, over_common

TOGETHER = "all together"
DIFFERENT = 0.05  # the chance that any layer is found to differ where none does
MOST_NAMED = 8  # machines in a sentence


def compare_machines(stores: Sequence[Store]) -> SideBySide:
    """Every layer over the combinations that all runs with it have; where a run has it not, it is None.

    Whether a layer is worth the same everywhere is tested with what a run does to all of its trials (JOB_SD). Absolute
    speeds are not compared.

    Raises UserError when the runs trained different things, or are no ablations.
    """
    runs = comparable_runs(stores)
    own = [run.effects for run in runs]
    layers = list(dict.fromkeys(layer for run in runs for layer in run.record.spec.layers))
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
    together, p_together = _together(over_common(own))
    return SideBySide(
        runs=_names(stores),
        machines=tuple(_machine(run.record.description) for run in runs),
        layers=tuple(_tested([*rows, together], [*tests, p_together])),
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


def _together(fits: Sequence[Effects]) -> tuple[LayerAcross, float | None]:
    found = [fit.ratio(fit.all_together) for fit in fits]
    p = difference_p([each for each in found if each is not None], JOB_SD)
    return LayerAcross(None, TOGETHER, tuple(map(figure_of, found)), None), p


def warn_of_machines(spec: RunSpec, trials: list[StoredTrial]) -> list[str]:
    """Of a run that several machines of one kind shared: whose mean it is, and which layers differ between them."""
    shares: dict[str, list[StoredTrial]] = defaultdict(list)
    for trial in sound_trials(trials):
        if trial.conditions is not None and trial.conditions.machine is not None:
            shares[trial.conditions.machine].append(trial)
    if len(shares) < 2:
        return []
    fits = over_common([speed_effects(spec, share) for share in shares.values()])
    found = {layer: _told_by(shares, _effect_of(layer, fits)[1]) for layer in fits[0].layers}
    tests = {layer: difference_p([*told.values()], JOB_SD) for layer, told in found.items()}
    known = {layer: p for layer, p in tests.items() if p is not None}
    differing = [layer for layer, p in zip(known, holm([*known.values()]), strict=True) if p < DIFFERENT]
    said = "; ".join(f"{layer} pays {_range(found[layer])}" for layer in differing)
    none = "no layer is shown to differ between them" if known else "each ran too little to compare them"
    names = f"the {len(shares)} machines that took part" if len(shares) > MOST_NAMED else ", ".join(sorted(shares))
    return [f"intervals hold for {names}, not for other machines of this kind: {said or none}"]


def _told_by(names: Iterable[str], found: Sequence[Estimate | None]) -> dict[str, Estimate]:
    """What is known with its scatter, by the machine that tells it."""
    return {name: each for name, each in zip(names, found, strict=True) if each is not None and each.log_se}


def _range(told: dict[str, Estimate]) -> str:
    (least, low), *_, (most, high) = sorted(told.items(), key=lambda each: each[1].ratio)
    return f"{times(low.ratio)} on {least} and {times(high.ratio)} on {most}"


def _names(stores: Sequence[Store]) -> tuple[str, ...]:
    """The folders' names, or their paths where two are called the same."""
    names = [store.folder.resolve().name for store in stores]
    paths = [str(store.folder) for store in stores]
    return tuple(names if len({*names}) == len(names) else paths)


def _machine(description: Description) -> str:
    machine, device = description.machine, description.device
    threads = f", {device.torch_threads} threads" if device.torch_threads else ""
    return f"{machine.chip}, {machine.memory_mb / 1e3:.0f} GB, {machine.system}, {device.device}{threads}"

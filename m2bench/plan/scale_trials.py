"""The trials of a run of ``scale``: every point once in a block, in random order between two baselines. Pure."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product
from statistics import median

from m2bench.options.known_systems import DOORS
from m2bench.options.run_spec import RunSpec
from m2bench.records.combinations import Layers
from m2bench.records.scale_spec import Place, Point, Scale, Setting, Value
from m2bench.records.spec import Options, TrialSpec
from m2bench.store.stored_trial import StoredTrial

SETTINGS = "settings"
"""The option of a user's trainer that holds the values of its settings, by name."""


@dataclass(frozen=True)
class Line:
    """What is compared: a combination at one place, with all settings fixed but that of the axis.

    ``points``: by the value of that setting; by 1 where there is none, or it has no effect.
    """

    layers: Layers
    place: Place
    fixed: tuple[tuple[str, Value], ...]
    points: tuple[tuple[float, Point], ...]


def lines_of(scale: Scale) -> list[Line]:
    """Every line: places, then settings, then combinations. The first point of the first is the run's baseline."""
    axis = scale.axis
    others = [setting for setting in scale.settings if setting is not axis]
    sizes = axis.values if axis else (1,)
    found = []
    for place, values in product(scale.places, product(*(setting.values for setting in others))):
        fixed = dict(zip((setting.name for setting in others), values, strict=True))
        for layers in scale.combinations:
            points = [_point(axis, place, layers, size, fixed) for size in sizes]
            by_size = {float(point.values.get(axis.name, 1)) if axis else 1.0: point for point in points}
            found.append(Line(layers, place, tuple(fixed.items()), tuple(by_size.items())))
    return found


def _point(axis: Setting | None, place: Place, layers: Layers, size: Value, fixed: dict[str, Value]) -> Point:
    """What is trained at this size: one that belongs to a layer is 1 without it."""
    if axis is None:
        return Point(layers, place, fixed)
    if axis.layer is None or (axis.layer in layers and size != 1):
        return Point(layers, place, {**fixed, axis.name: size})
    return Point(tuple(layer for layer in layers if layer != axis.layer), place, fixed)


def points_of(scale: Scale) -> list[Point]:
    """Every point once, the run's baseline first."""
    return list({point.name: point for line in lines_of(scale) for _, point in line.points}.values())


def scale_block(spec: RunSpec, scale: Scale, block: int) -> list[TrialSpec]:
    """The trials of a block, counted from 1, in order: they share a seed, and the first ones count operators."""
    baseline, *others = points_of(scale)
    shuffled = random.Random(f"{spec.seed}/{block}").sample(others, len(others))

    def trial(name: str, point: Point, counts: bool) -> TrialSpec:
        return TrialSpec(
            f"b{block}.{name}", point.layers, block, spec.seed + block - 1, mini_blocks=(block,),
            options=_options(spec, point), counts=counts and block == 1,
            device=point.place.device, threads=point.place.threads,
        )  # fmt: skip

    return [
        trial("anchor0", baseline, counts=True),
        *(trial(point.name, point, counts=True) for point in shuffled),
        trial("anchor1", baseline, counts=False),
    ]


def scale_learners(scale: Scale, trials: list[StoredTrial]) -> dict[str, TrialSpec]:
    """Of the set at every size the trial at the place where it is the fastest: where it is trained, it learns alike.

    By the names of their points; the baseline alone where there is no set.
    """
    speeds: dict[str, list[float]] = defaultdict(list)
    specs: dict[str, TrialSpec] = {}
    for trial in trials:
        if trial.spec.kind == "speed" and trial.status == "ok" and trial.timed.same_numerics:
            name = point_of(trial.spec).name
            speeds[name].append(trial.timed.episodes_per_min)
            specs[name] = replace(trial.spec, mini_blocks=(), counts=True, repeats=None)
    by_size: dict[tuple[float, tuple[tuple[str, Value], ...]], list[str]] = defaultdict(list)
    for line in lines_of(scale):
        for size, point in line.points:
            if line.layers == scale.combinations[-1] and point.name in speeds:
                by_size[size, line.fixed].append(point.name)
    chosen = (max(names, key=lambda name: median(speeds[name])) for names in by_size.values())
    return {name: specs[name] for name in chosen}


def _options(spec: RunSpec, point: Point) -> Options:
    if spec.workload.module in DOORS and point.values:
        return {SETTINGS: dict(point.values)}
    return dict(point.values)


def point_of(trial: TrialSpec) -> Point:
    """What a trial trains, and where."""
    values = trial.options.get(SETTINGS, trial.options)
    return Point(trial.layers, Place(trial.device, trial.threads), values)

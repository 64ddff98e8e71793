"""The command ``compare``: two runs side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean
from typing import Any

from rich.console import Console

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.errors import UserError
from m2bench.records.trials import StoredTrial
from m2bench.run.store import Store
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, named
from m2bench.statistics.sequential import JOB_LEVEL_SD, JOB_SD, difference
from m2bench.statistics.steady import steady_speed
from m2bench.text.figures import times_within
from m2bench.text.tables import Table, draw_table

from .summarize import sound_trials, speed_effects

# Facts of the machine without which episodes/min of two runs say nothing about each other.
IDENTITY = (
    "chip",
    "physical_cores",
    "logical_cores",
    "memory_mb",
    "device",
    "device_name",
    "torch",
    "torch_threads",
    "thread_waiting",
    "python",
)

Document = dict[str, Any]


def compare(a: Store, b: Store) -> Document:
    """What run ``b`` is to run ``a``: layers' ratios over each other, and absolute speeds of one machine.

    Every combination is compared with itself, and layers over the combinations that both runs have: an average over
    others would be of something else. A run is one job, at a time of its own: what that does to all of its trials does
    not show in their scatter, so every change allows for it (JOB_SD, JOB_LEVEL_SD).

    Raises UserError when the runs trained different things.
    """
    records = a.record(), b.record()
    specs = [{**record.spec.to_json()["workload"], "device": None} for record in records]
    differing = [key for key in specs[0] if specs[0][key] != specs[1][key]]
    markets = [record.description.workload.market["sha256"] for record in records]
    if differing or markets[0] != markets[1]:
        raise UserError(
            f"the runs trained different things ({', '.join(differing) or 'another market'} differ), so their figures "
            "cannot be compared.",
            "Compare runs of the same options.",
        )
    trials = a.trials(), b.trials()
    effects = _over_common(*(speed_effects(record.spec, found) for record, found in zip(records, trials, strict=True)))
    machines = [record.description.facts for record in records]
    other = [f"{key}: {machines[0].get(key)} and {machines[1].get(key)}" for key in IDENTITY
             if machines[0].get(key) != machines[1].get(key)]  # fmt: skip
    layers = [layer for layer in records[0].spec.layers if layer in records[1].spec.layers]
    return {
        "a": a.folder.resolve().name,
        "b": b.folder.resolve().name,
        "same_machine": not other,
        "machines_differ_in": other,
        "absolute": None if other else named("change", _absolute(*map(_anchors, trials))),
        "layers": [found for layer in layers for found in _compare_layer(layer, *effects)],
        "combinations": [_compare_combination(c, *effects) for c in effects[0].cells if c in effects[1].cells],
    }


def show_comparison(document: Document, console: Console) -> None:
    """Print the tables and what they do not say."""
    columns = ("what", document["a"], document["b"], "change")
    layers = [(f"{layer['layer']} ({layer['effect']})", layer) for layer in document["layers"]]
    combinations = [(combination_name(tuple(c["layers"])), c) for c in document["combinations"]]
    for title, compared in (
        ("Combinations, as speedup over each run's own baseline", combinations),
        ("Layers", layers),
    ):
        rows = [(name, *(times_within(found, field) for field in ("a", "b", "change"))) for name, found in compared]
        draw_table(Table(title, columns, rows, frozenset(columns[1:])), console)
    if document["machines_differ_in"]:
        differing = "; ".join(document["machines_differ_in"])
        console.print(
            f"Absolute figures are not comparable: the machines differ ({differing}). The ratios above are each run's "
            "own.",
            markup=False, highlight=False,
        )  # fmt: skip
    elif document["absolute"]["change"] is not None:
        known = (
            "" if document["absolute"]["change_ci"] else " One block each does not tell how far that is from chance."
        )
        console.print(
            f"The baseline's episodes/min in {document['b']} over {document['a']}: "
            f"{times_within(document['absolute'], 'change')}. A block is one observation here, since the machine is "
            f"another at another time; two runs of equal code may differ by chance ({JOB_LEVEL_SD:.1%} each in "
            f"episodes/min, {JOB_SD:.1%} in ratios, standard deviations), which all intervals of a change allow "
            f"for.{known}",
            markup=False, highlight=False,
        )  # fmt: skip


def _over_common(a: Effects, b: Effects) -> tuple[Effects, Effects]:
    """Both fits over the combinations that both have, and the layers that vary among these."""
    if a.cells == b.cells and a.layers == b.layers:
        return a, b
    cells = [cell for cell in a.cells if cell in b.cells]
    layers = tuple(layer for layer in a.layers if any(layer in cell for cell in cells))
    return (
        Effects(layers, [o for o in a.observations if o.layers in cells]),
        Effects(layers, [o for o in b.observations if o.layers in cells]),
    )


def _anchors(trials: list[StoredTrial]) -> list[float]:
    """The mean log episodes/min of the baselines of each block."""
    blocks: dict[int, list[float]] = defaultdict(list)
    for trial in sound_trials(trials):
        if trial.spec.layers == BASELINE:
            blocks[trial.spec.block].append(math.log(steady_speed(trial.timed)))
    return [fmean(logs) for logs in blocks.values()]


def _absolute(a: list[float], b: list[float]) -> Estimate | None:
    """The ratio of the baselines' speeds, by Welch's interval over blocks, which allows for that between jobs."""
    if not a or not b:
        return None
    if min(len(a), len(b)) < 2:
        return Estimate(math.exp(fmean(b) - fmean(a)))
    found = difference(b, a, JOB_LEVEL_SD)
    return Estimate.from_log(found.value, found.se, int(found.degrees))


def _compare_layer(layer: str, a: Effects, b: Effects) -> list[Document]:
    """The layer's Shapley value and main effect in both, or its effect alone where a design gives neither."""
    figures = {
        "Shapley value": (a.shapley(layer)[0], b.shapley(layer)[0]),
        "main effect": (a.main_effect(layer), b.main_effect(layer)),
        "alone": (a.ratio((layer,)), b.ratio((layer,))),
    }
    averages = [name for name in ("Shapley value", "main effect") if None not in figures[name]]
    return [
        {
            "layer": layer,
            "effect": name,
            **named("a", figures[name][0]),
            **named("b", figures[name][1]),
            **named("change", _over(figures[name][1], figures[name][0])),
        }
        for name in averages or ["alone"]
    ]


def _compare_combination(layers: Layers, a: Effects, b: Effects) -> Document:
    """The combination's speedup over its own run's baseline in both."""
    pair = a.ratio(layers), b.ratio(layers)
    return {"layers": list(layers), **named("a", pair[0]), **named("b", pair[1]),
            **named("change", _over(pair[1], pair[0]))}  # fmt: skip


def _over(b: Estimate | None, a: Estimate | None) -> Estimate | None:
    """One run's ratio over the other's: most of what a job does to its trials cancels in both, and JOB_SD is left."""
    if a is None or b is None:
        return None
    change = b.over(a)
    if change.log_se is None or change.degrees is None:
        return change
    return Estimate.from_log(math.log(change.ratio), math.hypot(change.log_se, math.sqrt(2) * JOB_SD), change.degrees)

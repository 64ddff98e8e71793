"""The command ``compare``: two runs side by side."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from .analysis import named, speed_effects
from .effects import Effects, Estimate
from .errors import UserError
from .spec import Layers, combination_name
from .store import Store
from .tables import Table, draw_table, times_within

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
    "python",
)

Document = dict[str, Any]


def compare(a: Store, b: Store) -> Document:
    """What run ``b`` is to run ``a``: layers' ratios over each other, and absolute speeds of one machine.

    Every combination is compared with itself and every layer with itself, so that a different choice of layers or
    combinations does not matter. Raises UserError when the runs trained different things.
    """
    records = a.record(), b.record()
    specs = [{**record.spec.to_json()["workload"], "device": None} for record in records]
    differing = [key for key in specs[0] if specs[0][key] != specs[1][key]]
    markets = [record.description["workload"]["market"]["sha256"] for record in records]
    if differing or markets[0] != markets[1]:
        raise UserError(
            f"the runs trained different things ({', '.join(differing) or 'another market'} differ), so their figures "
            "cannot be compared.",
            "Compare runs of the same options.",
        )
    effects = speed_effects(records[0], a.trials()), speed_effects(records[1], b.trials())
    machines = [{**record.description["machine"], **record.description["device"]} for record in records]
    other = [f"{key}: {machines[0].get(key)} and {machines[1].get(key)}" for key in IDENTITY
             if machines[0].get(key) != machines[1].get(key)]  # fmt: skip
    layers = [layer for layer in records[0].spec.layers if layer in records[1].spec.layers]
    return {
        "a": a.folder.resolve().name,
        "b": b.folder.resolve().name,
        "same_machine": not other,
        "machines_differ_in": other,
        "absolute": None if other else _absolute(*effects),
        "layers": [_compare_layer(layer, *effects) for layer in layers],
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
    elif document["absolute"] is not None:
        console.print(
            f"Episodes/min of {document['b']} over {document['a']}: {times_within(document['absolute'], 'change')}, on "
            "average over the combinations of both. The interval knows the noise within the runs, not what else the "
            "machine did between them.",
            markup=False, highlight=False,
        )  # fmt: skip


def _absolute(a: Effects, b: Effects) -> Document | None:
    """Episodes/min of ``b`` over ``a``, averaged over the combinations that both have."""
    common = [cell for cell in a.cells if cell in b.cells]
    if not common:
        return None
    average = {cell: 1 / len(common) for cell in common}
    return named("change", _over(b.contrast(average), a.contrast(average)))


def _compare_layer(layer: str, a: Effects, b: Effects) -> Document:
    """The layer's main effect in both, or its effect alone where a design gives no main effect."""
    kind = "main effect"
    pair = a.main_effect(layer), b.main_effect(layer)
    if None in pair:
        kind = "alone"
        pair = a.ratio((layer,)), b.ratio((layer,))
    return {"layer": layer, "effect": kind, **named("a", pair[0]), **named("b", pair[1]),
            **named("change", _over(pair[1], pair[0]))}  # fmt: skip


def _compare_combination(layers: Layers, a: Effects, b: Effects) -> Document:
    """The combination's speedup over its own run's baseline in both."""
    pair = a.ratio(layers), b.ratio(layers)
    return {"layers": list(layers), **named("a", pair[0]), **named("b", pair[1]),
            **named("change", _over(pair[1], pair[0]))}  # fmt: skip


def _over(b: Estimate | None, a: Estimate | None) -> Estimate | None:
    return None if a is None or b is None else b.over(a)

"""What a user's module says of its trainer, by plain attributes, all of which it may leave out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from m2bench.errors import UserError
from m2bench.records.combinations import Layers
from m2bench.records.description import Claim, LayerDescription
from m2bench.records.rules import Rules
from m2bench.systems.defaults import describe_layer

from .importing import UserTrainer
from .raised import as_named
from .yields import LOSS, RETURN

T = TypeVar("T")
GAIN = re.compile(r"(\d+(?:\.\d+)?)\s*x?(?:\s*(?:-|to)\s*(\d+(?:\.\d+)?))?\s*x")
EXACT = "exact"
NEARLY = 0.81
"""Least likeness of a misspelt name to the one that is meant: UNIT is like UNITS, SEEDS is not like NEEDS (0.8)."""


def declared_unit(trainer: UserTrainer) -> str | None:
    """``UNITS``: the word for what a yielded number counts, in the plural. Raises UserError for anything else."""
    units = getattr(trainer.module, "UNITS", None)
    if units is not None and not (isinstance(units, str) and units.strip()):
        _refuse(trainer, f"UNITS is {units!r}", "m2bench reads there what the trainer counts, as in UNITS = 'samples'")
    return units


def declared_target(trainer: UserTrainer) -> dict[str, str | float] | None:
    """``TARGET``: the loss or the return that training is to reach. Raises UserError for anything else."""
    target = getattr(trainer.module, "TARGET", None)
    if target is None:
        return None
    try:
        ((measure, value),) = target.items()
        if measure not in (LOSS, RETURN) or not math.isfinite(value):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        advice = "m2bench reads there what training is to reach: TARGET = {'loss': 0.3}, or TARGET = {'return': 195}"
        _refuse(trainer, f"TARGET is {target!r:.80}", advice)
    return {"measure": measure, "return": float(value)}


def declared_layers(trainer: UserTrainer, layers: Layers) -> tuple[LayerDescription, ...]:
    """The layers with their ``CLAIMS`` and ``CONTRACTS``. Raises UserError as ``_declared`` does."""
    claims = _declared(trainer, "CLAIMS", layers, _read_claim)
    contracts = _declared(trainer, "CONTRACTS", layers, _read_contract)
    return tuple(
        describe_layer(layer, claim=claims.get(layer), loss_tolerance=contracts.get(layer)) for layer in layers
    )


def declared_rules(trainer: UserTrainer, layers: Layers) -> Rules:
    """``NEEDS`` and ``EXCLUDES``. Raises UserError as ``_declared`` does."""

    def read_layers(value: Any) -> Layers:
        names = (value,) if isinstance(value, str) else tuple(value)
        if not {*names} <= {*layers}:
            raise ValueError
        return names

    tables = [_declared(trainer, attribute, layers, read_layers) for attribute in ("NEEDS", "EXCLUDES")]
    return Rules(*(tuple((layer, name) for layer, names in table.items() for name in names) for table in tables))


def misspelt(trainer: UserTrainer) -> Iterator[str]:
    """For each name in capitals in the module that is nearly one of ATTRIBUTES, a remark that asks whether it is meant.

    It may be a constant of the trainer's own, so it is no error.
    """
    names = vars(trainer.module)
    for name in filter(str.isupper, names):
        for meant in get_close_matches(name, ATTRIBUTES, 1, NEARLY):
            if meant not in names:
                yield f"{_file_of(trainer)}: {name} is not read by m2bench: if {meant} is meant, rename it."


def _declared(trainer: UserTrainer, attribute: str, layers: Layers, read: Callable[[Any], T]) -> dict[str, T]:
    """What the module's dict of this name says, by layer, as ``read`` reads it or raises ValueError or TypeError.

    Raises UserError where it is no dict, names no layer, or holds what cannot be read.
    """
    table, found = getattr(trainer.module, attribute, {}), {}
    if not isinstance(table, Mapping):
        example = EXAMPLES[attribute]
        _refuse(trainer, f"{attribute} is {table!r:.80}", f"m2bench reads there a dict by layer: {example}")
    for layer, value in table.items():
        if layer not in layers:
            _refuse(trainer, f"{attribute} names {layer!r}", f"the layers are {', '.join(layers)}")
        try:
            found[layer] = read(value)
        except (TypeError, ValueError):
            _refuse(trainer, f"{attribute}[{layer!r}] is {value!r:.80}", f"write it as in {EXAMPLES[attribute]}")
    return found


def _read_claim(value: Any) -> Claim:
    """A gain, as (low, high) or in words that hold it."""
    if isinstance(value, str):
        gain = GAIN.search(value)
        if gain is None:
            raise ValueError
        low, high, text = float(gain[1]), float(gain[2] or gain[1]), value
    else:
        low, high = map(float, value) if isinstance(value, Sequence) else (float(value), float(value))
        text = f"{low:g}-{high:g}x" if low < high else f"{low:g}x"
    if not 0 < low <= high:
        raise ValueError
    return Claim(low=low, high=high, text=text, difficulty="", priority="")


def _read_contract(value: Any) -> float | None:
    """How far a loss may lie from that without the layer, as a share of it; None: no further than rounding takes it."""
    if value == EXACT:
        return None
    tolerance = float(value)
    if not 0 < tolerance < 1:
        raise ValueError
    return tolerance


EXAMPLES = {
    "CLAIMS": "CLAIMS = {'amp': (1.5, 2.0), 'compile': '2x'}",
    "CONTRACTS": "CONTRACTS = {'amp': 0.02, 'compile': 'exact'}",
    "NEEDS": "NEEDS = {'cudagraphs': 'compile'}, of the layers that there are",
    "EXCLUDES": "EXCLUDES = {'fused': 'foreach'}, of the layers that there are",
}
ATTRIBUTES = ("UNITS", "TARGET", *EXAMPLES)


def _refuse(trainer: UserTrainer, found: str, advice: str) -> NoReturn:
    raise UserError(f"{_file_of(trainer)}: {found}.", f"{advice[0].upper()}{advice[1:]}.")


def _file_of(trainer: UserTrainer) -> str:
    return as_named(str(trainer.module.__file__))

"""What the parameters of a user's function say: which layers there are, and what else it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, NoReturn

from m2bench.errors import UserError
from m2bench.records.combinations import BASELINE, Layers, combination_name

from .importing import UserTrainer
from .source import place_of

DEVICE, SEED, THREADS = "device", "seed", "threads"
Settings = Mapping[str, Any]
"""Values of parameters by name, which a run of ``scale`` varies."""


@dataclass(frozen=True)
class Parameters:
    """``layers``: what is switched on and off. ``always_on``: what defaults to True, which nobody switches off."""

    layers: Layers
    always_on: tuple[str, ...]
    takes_device: bool
    takes_seed: bool
    takes_threads: bool


def read_parameters(trainer: UserTrainer, settings: Settings | None = None) -> Parameters:
    """What a function takes.

    Raises UserError, with the line to change, for a parameter without a default, for one that cannot be given by its
    name, and for a setting that it does not have.
    """
    taken = [
        one
        for one in inspect.signature(trainer.train).parameters.values()
        if one.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]
    names = {one.name for one in taken}
    own = [one for one in taken if one.name not in (DEVICE, SEED)]
    for one in own:
        _refuse_unusable(trainer, one)
    always_on = tuple(one.name for one in own if one.default is True)
    layers = tuple(one.name for one in own if one.default is False)
    for name, value in (settings or {}).items():
        _refuse_no_setting(trainer, name, next((one for one in own if one.name == name), None), value)
    threads = any(one.name == THREADS and _is_setting(one) for one in own)
    return Parameters(layers, always_on, DEVICE in names, SEED in names, threads)


def refuse_no_layers(trainer: UserTrainer, always_on: Sequence[str]) -> NoReturn:
    """Raise UserError, with the line to change, for a function without layers."""
    raise UserError(
        f"{place_of(trainer.train)}: {trainer.function} has no parameter that defaults to False, so there is "
        "nothing to switch on.",
        f"Let {', '.join(always_on)} default to False there." if always_on
        else f"Give it one for each thing to try, as in def {trainer.function}(*, amp=False, compile=False).",
    )  # fmt: skip


def _is_setting(one: Parameter) -> bool:
    is_value = isinstance(one.default, int | float | str) and not isinstance(one.default, bool)
    return is_value and one.kind is not Parameter.POSITIONAL_ONLY


def _refuse_no_setting(trainer: UserTrainer, name: str, one: Parameter | None, value: Any) -> None:
    if one is None:
        raise UserError(
            f"{place_of(trainer.train)}: {trainer.function} has no parameter {name}.",
            f"Give it one, as in def {trainer.function}(*, {name}={value!r}), or leave the setting out.",
        )
    where = f"{place_of(trainer.train, name)}: {trainer.function}"
    if not _is_setting(one):
        raise UserError(
            f"{where} has {name}={one.default!r}, which is neither a number nor a text.",
            f"Let it default to one, as in {name}={value!r}, and be given by its name.",
        )
    if isinstance(value, str) and not isinstance(one.default, str):
        raise UserError(f"{where} takes a number for {name}, as {one.default!r}.", f"Give numbers: {name}=1,2,4.")


def _refuse_unusable(trainer: UserTrainer, one: Parameter) -> None:
    where = f"{place_of(trainer.train, one.name)}: {trainer.function}"
    if one.default is Parameter.empty:
        raise UserError(
            f"{where} needs a value for {one.name}, and m2bench gives it only {DEVICE}, {SEED} and its layers.",
            f"Give {one.name} a default there.",
        )
    if one.kind is Parameter.POSITIONAL_ONLY and one.default is False:
        raise UserError(
            f"{where} cannot be given {one.name} by its name.", "Leave out the / after it in the parameters."
        )
    if one.name == combination_name(BASELINE):
        raise UserError(f"{where} calls a parameter {one.name}, as the run without any layer is called.", "Rename it.")

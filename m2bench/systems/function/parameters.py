"""What the parameters of a user's function say: which layers there are, and what else it takes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from inspect import Parameter

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.errors import UserError

from .importing import UserTrainer
from .source import place_of

DEVICE, SEED = "device", "seed"


@dataclass(frozen=True)
class Parameters:
    """``layers``: what is switched on and off. ``always_on``: what defaults to True, which nobody switches off."""

    layers: Layers
    always_on: tuple[str, ...]
    takes_device: bool
    takes_seed: bool


def read_parameters(trainer: UserTrainer) -> Parameters:
    """What a function takes.

    Raises UserError, with the line to change, for a parameter without a default, for one that cannot be given by its
    name, and where there is no layer.
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
    if not layers:
        raise UserError(
            f"{place_of(trainer.train)}: {trainer.function} has no parameter that defaults to False, so there is "
            "nothing to switch on.",
            f"Let {', '.join(always_on)} default to False there." if always_on
            else f"Give it one for each thing to try, as in def {trainer.function}(*, amp=False, compile=False).",
        )  # fmt: skip
    return Parameters(layers, always_on, DEVICE in names, SEED in names)


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

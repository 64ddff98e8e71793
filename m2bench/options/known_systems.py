"""The systems under test that can be asked for, and what is known of each before a worker has described it.

Each has a module ``options`` beside it, which declares its options in ``OPTIONS`` and imports no torch. All are found
by their names: the harness knows none of their options and none of their layers.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

from m2bench.records.combinations import Layers
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import Options, WorkloadSpec

from .declared import DEVICES, TRAINING, Option, SizeOption, one_of, option, options_of

SYSTEMS = ("m2bench.systems.trading.system", "m2bench.systems.function.system", "m2bench.systems.command.system")
"""The modules that build the systems under test; the first is the one that comes along."""
DOORS = SYSTEMS[1:]
"""Those that lead to a trainer of the user's own."""
PROGRAMS = SYSTEMS[2:]
"""Those whose trials are programs of their own: what starts them imports no torch and adds nothing to the shell's
environment."""


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions:
    """What is asked for of every system under test."""

    device: str = option(
        WorkloadSpec.device,
        f"Device to train on: {', '.join(DEVICES)}.",
        read=one_of(DEVICES),
        commands=(*TRAINING, "layers", "doctor"),
        in_place="Say in the command, or in a toggle, what it is to run on.",
    )
    module: str = option(
        WorkloadSpec.module,
        "Python module that builds the system under test.",
        spelled="--workload",
        hidden=True,
        commands=(*TRAINING, "scale", "doctor"),
    )


def workload_options(command: str) -> tuple[Option, ...]:
    """The options of all systems under test that a command takes."""
    device, module = options_of(WorkloadOptions)
    return tuple(
        one for one in (device, *(one for system in SYSTEMS for one in _options_of_system(system)), module)
        if command in (*one.commands, *one.refused_by)
    )  # fmt: skip


def _options_of_system(module: str) -> tuple[Option, ...]:
    declared: tuple[Option, ...] = _options_module(module).OPTIONS
    return tuple(replace(one, system=module) for one in declared)


def layers_at_hand(module: str) -> NamedLayers:
    """What the options of a system tell of its layers; nothing of those that are the user's own."""
    nothing = NamedLayers()
    found: NamedLayers = getattr(_options_module(module), "LAYERS", nothing) if module in SYSTEMS else nothing
    return found


def refuse_contradictions(workload: WorkloadSpec) -> None:
    """Raise UserError where a system's options contradict each other, as far as it tells before it is described."""
    module = _options_module(workload.module) if workload.module in SYSTEMS else None
    refuse: Callable[[Options], None] = getattr(module, "refuse_contradictions", lambda options: None)
    refuse(workload.options)


def size_option(command: str) -> tuple[Option, SizeOption]:
    """The option of which ``scale`` tries several values, and how these are spoken of."""
    return next((one, one.size_as) for one in workload_options(command) if one.size_as is not None)


def _options_module(system: str) -> ModuleType:
    return import_module(f"{system.rpartition('.')[0]}.options")


def workload_words(command: str, workload: Mapping[str, Any], layers: Layers) -> list[str]:
    """The words with which a command trains this workload (a document of ``WorkloadSpec``) with these layers."""
    module = workload["module"] if workload["module"] in SYSTEMS else SYSTEMS[0]
    words: list[str] = []
    for one in workload_options(command):
        value = workload.get(one.name, one.default)
        if value != one.default and one.layer in (None, *layers) and one.system in (None, module):
            for each in value if isinstance(value, (list, tuple)) else [value]:
                words += [str(each)] if one.positional else [one.flag] if each is True else [one.flag, str(each)]
    return words


@dataclass(frozen=True)
class Call:
    """How a set of layers is trained: ``text`` to be typed, or to be written in a user's own code."""

    text: str
    language: Literal["sh", "python"]


def call_with(workload: Mapping[str, Any], layers: Layers) -> Call | None:
    """How this workload (a document of ``WorkloadSpec``) is trained with these layers.

    A user's own trainer has its own way, which the function ``call_with`` beside its options tells; None where nothing
    is to be switched on in it.
    """
    module = workload["module"]
    own: Callable[..., Call] | None = getattr(_options_module(module), "call_with", None) if module in SYSTEMS else None
    if own is not None:
        return own(workload, layers) if layers else None
    with_layers = ["--with", ",".join(layers)] if layers else []
    return Call(shlex.join(["m2bench", "train", *with_layers, *workload_words("train", workload, layers)]), "sh")

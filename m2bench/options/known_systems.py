"""The systems under test that can be asked for, and what is known of each before a worker has described it.

Each has a module ``options`` beside it, which declares a ``KnownSystem`` in ``KNOWN`` and imports no torch. They are
found by their names: the harness knows none of their options and none of their layers.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Literal

from m2bench.errors import UserError
from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Factor
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import Options, WorkloadSpec

from .option import DEVICES, TRAINING, Option, SizeOption, one_of, option, options_of

SYSTEMS = ("m2bench.systems.trading.system", "m2bench.systems.function.system", "m2bench.systems.command.system")
"""The modules that build the systems under test; the first is the one that comes along."""
DOORS = SYSTEMS[1:]
"""Those that lead to a trainer of the user's own."""
PROGRAMS = SYSTEMS[2:]
"""Those whose trials are programs of their own: what starts them imports no torch and adds nothing to the shell's
environment."""


NO_LAYERS = NamedLayers()


@dataclass(frozen=True)
class Call:
    """How a set of layers is trained: ``text`` to be typed, or to be written in a user's own code."""

    text: str
    language: Literal["sh", "python"]


@dataclass(frozen=True)
class KnownSystem:
    """What is known of a system: its options, and of its layers what these tell.

    ``call_with``: how a user's own trainer is told which layers to switch on; None for ``m2bench train``. ``check``:
    raises UserError where options contradict each other, or the layers that are on. ``unused``: by name, which options
    have no effect beside the others, and the error that says so. ``factors``: what ``ablate --factors`` crosses, by
    what it is called with.
    """

    options: tuple[Option, ...]
    layers: NamedLayers = NO_LAYERS
    call_with: Callable[[Options, Layers], Call] | None = None
    check: Callable[[Options, Layers], None] = lambda options, layers: None
    unused: Callable[[Options], Mapping[str, UserError]] = lambda options: {}
    factors: Mapping[str, tuple[Factor, ...]] = field(default_factory=dict)


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
    of_systems = (replace(one, system=system) for system in SYSTEMS for one in _known(system).options)
    return tuple(one for one in (device, *of_systems, module) if command in (*one.commands, *one.refused_by))


def layers_at_hand(module: str) -> NamedLayers:
    """What the options of a system tell of its layers; nothing of those that are the user's own."""
    return _known(module).layers


def factors_at_hand(module: str) -> Mapping[str, tuple[Factor, ...]]:
    """What of a system can be crossed beside its layers."""
    return _known(module).factors


def check_options(workloads: Sequence[WorkloadSpec], layers: Layers = ()) -> None:
    """Raise UserError where options of one system contradict each other or the layers, or one is used in no workload.

    The workloads are those of one run.
    """
    known = _known(workloads[0].module)
    unused = [known.unused(workload.options) for workload in workloads]
    for name, error in unused[0].items():
        if all(name in each for each in unused):
            raise error
    for workload in workloads:
        known.check(workload.options, layers)


def size_option(command: str) -> tuple[Option, SizeOption]:
    """The option of which ``scale`` tries several values, and how these are spoken of."""
    return next((one, one.size_as) for one in workload_options(command) if one.size_as is not None)


def _known(module: str) -> KnownSystem:
    """Nothing is known of a module that is none of SYSTEMS."""
    if module not in SYSTEMS:
        return KnownSystem(())
    found: KnownSystem = import_module(f"{module.rpartition('.')[0]}.options").KNOWN
    return found


def workload_words(command: str, workload: WorkloadSpec, layers: Layers) -> list[str]:
    """The words with which a command trains this workload with these layers."""
    module = workload.module if workload.module in SYSTEMS else SYSTEMS[0]
    # The module of a trainer of the user's own follows from its other options, and is refused beside them.
    asked = {name: value for name, value in workload.asked.items() if value not in DOORS}
    words: list[str] = []
    for one in workload_options(command):
        value = asked.get(one.name, one.default)
        if value != one.default and one.layer in (None, *layers) and one.system in (None, module):
            for each in value if isinstance(value, (list, tuple)) else [value]:
                words += [str(each)] if one.positional else [one.flag] if each is True else [one.flag, str(each)]
    return words


def call_with(workload: WorkloadSpec, layers: Layers) -> Call | None:
    """How this workload is trained with these layers.

    A user's own trainer has its own way; None where nothing is to be switched on in it.
    """
    own = _known(workload.module).call_with
    if own is not None:
        return own(workload.options, layers) if layers else None
    with_layers = ["--with", ",".join(layers)] if layers else []
    return Call(shlex.join(["m2bench", "train", *with_layers, *workload_words("train", workload, layers)]), "sh")

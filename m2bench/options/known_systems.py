"""The systems under test that can be asked for, and what is known of each before a worker has described it.

Each has a module ``options`` beside it, which declares a ``KnownSystem`` in ``KNOWN`` and imports no torch. They are
found by their names: the harness knows none of their options and none of their layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

from m2bench.errors import UserError
from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Factor
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import Options

from .option import Option

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


def known_system(module: str) -> KnownSystem:
    """What is known of this system; nothing of a module that is none of SYSTEMS."""
    if module not in SYSTEMS:
        return KnownSystem(())
    found: KnownSystem = import_module(f"{module.rpartition('.')[0]}.options").KNOWN
    return found

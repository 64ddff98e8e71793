"""Options: each declared once, as a field of a frozen dataclass.

From the declaration come the parameter of every command that takes the option, its value in the request to a worker,
and its words in the commands that reports print. Neither this module nor one that declares options imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from inspect import get_annotations
from pathlib import Path
from typing import Any, get_type_hints

from m2bench.errors import UserError

Read = Callable[[str, Any], Any]
"""From an option's flag and what was typed to its value. Raises UserError."""

DEVICES = ("auto", "cpu", "cuda", "mps")
GPUS = ("mps", "cuda")
TRAINING = ("ablate", "train", "profile", "check", "baseline save")
"""The commands that train."""
_DECLARED = "option"


@dataclass(frozen=True, kw_only=True)
class SizeOption:
    """What ``scale`` varies of a layer: an option that is a number, and 1 without the layer, and the word for it."""

    option: str
    one: str
    many: str


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option. ``kind``: the type of what is typed. ``default``: the value where nothing is; ``...`` for none."""

    name: str = ""
    kind: Any = None
    default: Any = ...
    help: str
    shown: str | None = None
    """The default in words, where it is not shown as it is."""
    metavar: str | None = None
    """What stands for the value in help texts, where it is not the kind: what is typed is then text to be read."""
    read: Read = lambda flag, typed: typed
    spelled: str | None = None
    """The flag, where it is not the name."""
    positional: bool = False
    hidden: bool = False
    with_resume: bool = False
    """Whether it may stand beside ``--resume``."""
    asks: bool = True
    """Whether it changes what is measured or judged, and not only where the answer goes."""
    evaluates: bool = False
    """Of an option of the system under test: whether it says on what a checkpoint is evaluated."""
    commands: tuple[str, ...] = TRAINING
    """Of an option of the system under test: the commands that take it."""
    refused_by: tuple[str, ...] = ()
    """Commands that take it unseen, to say that they are not for its system."""
    default_of: Mapping[str, Any] = field(default_factory=dict)
    """Another default, by command."""
    layer: str | None = None
    """The layer without which it has no effect."""
    size_as: SizeOption | None = None
    """How the values that ``scale`` tries are described."""
    in_place: str | None = None
    """What to do instead where trials are programs of their own, on which it has no effect; None where it has."""
    system: str | None = None
    """The module of the system under test that has it; None where every one has."""

    @property
    def flag(self) -> str:
        """As it is typed: ``--num-envs``."""
        return self.spelled or f"--{self.name.replace('_', '-')}"

    @property
    def is_required(self) -> bool:
        """Whether the command needs it."""
        return self.default is ...

    @property
    def named(self) -> str:
        """As a message speaks of it."""
        return "a trainer of your own" if self.positional else self.flag

    def default_in(self, command: str) -> Any:
        """The default of a command."""
        return self.default_of.get(command, self.default)

    def explained(self, command: str) -> str:
        """The help text with the default."""
        default = self.default_in(command)
        is_shown = isinstance(default, (int, float, str, Path)) and default is not False
        shown = self.shown or (str(default) if is_shown else "")
        return f"{self.help}  [default: {shown}]" if shown else self.help

    def value(self, typed: Any, command: str) -> Any:
        """The value of what was typed for a command, None where nothing was. Raises UserError."""
        return self.default_in(command) if typed is None else self.read(self.flag, typed)


def option(default: Any, help: str, **how: Any) -> Any:  # noqa: A002 (what it is called everywhere)
    """Declare a field of a dataclass as an option; ``how``: the other fields of ``Option``."""
    return field(default=default, metadata={_DECLARED: Option(default=default, help=help, **how)})


def argument(help: str, **how: Any) -> Any:  # noqa: A002
    """Declare a field of a dataclass as a word that the command takes without a flag, and needs."""
    return field(metadata={_DECLARED: Option(help=help, positional=True, **how)})


def options_of(declaring: type) -> tuple[Option, ...]:
    """The options that a dataclass declares: its own before those of its bases, as written."""
    hints, declared = get_type_hints(declaring), {one.name: one.metadata[_DECLARED] for one in fields(declaring)}
    names = dict.fromkeys(name for base in declaring.__mro__ for name in get_annotations(base) if name in declared)
    return tuple(replace(declared[name], name=name, kind=_kind(declared[name], hints[name])) for name in names)


def _kind(declared: Option, hint: Any) -> Any:
    return declared.kind or (str if declared.metavar else hint)


def one_of(known: tuple[str, ...]) -> Read:
    """Reads one of the known words."""

    def read(flag: str, typed: str) -> str:
        if typed not in known:
            raise UserError(f"{flag} {typed!r} is not known.", f"Use one of: {', '.join(known)}.")
        return typed

    return read


def at_least(least: int) -> Read:
    """Reads a number that is not smaller."""

    def read(flag: str, typed: float) -> float:
        if not typed >= least:
            raise UserError(f"{flag} must be at least {least}; {typed:g} was given.")
        return typed

    return read


def in_range(least: float, most: float) -> Read:
    """Reads a number between two others, or one of them."""

    def read(flag: str, typed: float) -> float:
        if not least <= typed <= most:
            raise UserError(f"{flag} must lie between {least:g} and {most:g}; {typed:g} was given.")
        return typed

    return read


def whole_numbers(what: str) -> Callable[[str, str], tuple[int, ...]]:
    """Reads numbers of 1 or more, comma-separated: each once, the smallest first."""

    def read(flag: str, typed: str) -> tuple[int, ...]:
        parts = [part.strip() for part in typed.split(",") if part.strip()]
        for part in parts:
            if not part.isdecimal() or int(part) < 1:
                raise UserError(f"{flag}: {part!r} is not a {what}.", "Give whole numbers, as in 1,64,4096.")
        if not parts:
            raise UserError(f"{flag} names no {what}.", "Give some, as in 1,64,4096.")
        return tuple(sorted({int(part) for part in parts}))

    return read

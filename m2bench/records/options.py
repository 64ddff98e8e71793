"""Options: each declared once, as a field of a frozen dataclass.

From the declaration come the parameter of every command that takes the option, its value in the request to a worker,
and its words in the commands that reports print. Neither this module nor one that declares options imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, get_type_hints

from .errors import UserError

Value = str | int | float | None
"""Of an option of a system under test: as it stands in JSON."""
Read = Callable[[str, Any], Any]
"""From an option's flag and what was typed to its value. Raises UserError."""
T = TypeVar("T")

DEVICES = ("auto", "cpu", "cuda", "mps")
GPUS = ("mps", "cuda")
TRAINING = ("ablate", "train", "profile", "check", "baseline save")
"""The commands that train."""
_DECLARED = "option"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option. ``kind``: the type of what is typed. ``default``: the value where nothing is; ``...``: it must be."""

    name: str = ""
    kind: Any = None
    default: Any = ...
    help: str
    shown: str | None = None
    """The default in words; None: the default itself."""
    read: Read = lambda flag, typed: typed
    spelled: str | None = None
    """The flag, where it is not the name."""
    positional: bool = False
    hidden: bool = False
    with_resume: bool = False
    """Whether a run that is continued takes it."""
    asks: bool = True
    """Whether it changes what is measured or judged, and not only where the answer goes."""
    commands: tuple[str, ...] = TRAINING
    """Of an option of the system under test: the commands that take it."""
    default_of: Mapping[str, Value] = field(default_factory=dict)
    """Another default, by command."""
    layer: str | None = None
    """The layer without which it has no effect."""
    swept: bool = False
    """Whether a sweep varies it."""

    @property
    def flag(self) -> str:
        """As it is typed: ``--num-envs``."""
        return self.spelled or f"--{self.name.replace('_', '-')}"

    @property
    def explained(self) -> str:
        """The help text with the default."""
        default = "" if any(self.default is nothing for nothing in (None, False, ...)) else str(self.default)
        shown = default if self.shown is None else self.shown
        return f"{self.help}  [default: {shown}]" if shown else self.help

    def value(self, typed: Any) -> Any:
        """The value of what was typed, None where nothing was. Raises UserError."""
        return self.default if typed is None else self.read(self.flag, typed)


def option(default: Any, help: str, **how: Any) -> Any:  # noqa: A002 (what it is called everywhere)
    """Declare a field of a dataclass as an option; ``how`` are fields of ``Option``."""
    return field(default=default, metadata={_DECLARED: Option(default=default, help=help, **how)})


def argument(help: str, **how: Any) -> Any:  # noqa: A002
    """Declare a field of a keyword-only dataclass as a word that a command must be given."""
    return field(metadata={_DECLARED: Option(help=help, positional=True, **how)})


def options_of(declaring: type) -> tuple[Option, ...]:
    """The options that a dataclass declares: its own before those of its bases, as written."""
    hints, declared = get_type_hints(declaring), {one.name: one for one in fields(declaring)}
    written = [name for base in declaring.__mro__ for name in vars(base).get("__annotations__", ()) if name in declared]
    return tuple(
        replace(found, name=name, kind=found.kind or hints[name])
        for name in dict.fromkeys(written)
        if (found := declared[name].metadata.get(_DECLARED)) is not None
    )


def chosen(declaring: type[T], values: Mapping[str, Value]) -> T:
    """An instance of a dataclass of options from those of the values that are its own."""
    return declaring(**{one.name: values[one.name] for one in fields(declaring) if one.name in values})  # type: ignore[arg-type]


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
            raise UserError(f"{flag} must be at least {least}, and {typed:g} was given.")
        return typed

    return read


def within(least: float, most: float) -> Read:
    """Reads a number between two others, or one of them."""

    def read(flag: str, typed: float) -> float:
        if not least <= typed <= most:
            raise UserError(f"{flag} must lie between {least:g} and {most:g}, and {typed:g} was given.")
        return typed

    return read

"""From declared options to a command.

``@command("train")`` makes a command of a function. Each of its parameters is of one of three kinds: a dataclass of
declared options, ``System`` for the system under test with its options, ``Given`` for all that was typed.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import typer

from m2bench.errors import UserError
from m2bench.options.known_systems import DOORS, PROGRAMS
from m2bench.options.option import Option, option, options_of
from m2bench.options.workload_options import check_options, workload_options
from m2bench.records.combinations import Layers
from m2bench.records.documents import read
from m2bench.records.spec import WorkloadSpec


@dataclass(frozen=True)
class Given:
    """The options on the command line, each with what was typed for it: True for a flag alone."""

    typed: tuple[tuple[Option, Any], ...]

    def flags_of(self, names: Collection[str]) -> list[str]:
        """Those of these options that were typed, as they were."""
        return [one.flag for one, _ in self.typed if one.name in names]

    def words(self) -> tuple[str, ...]:
        """Words for a shell that ask the same, without where the answer goes."""
        words: list[str] = []
        for one, typed in self.typed:
            for value in typed if isinstance(typed, (list, tuple)) else [typed]:
                if one.asks:
                    flag = [] if one.positional else [one.flag]
                    words += flag if value is True else [*flag, shlex.quote(str(value))]
        return tuple(words)


@dataclass(frozen=True)
class AskedSystem:
    """The system under test that is asked for."""

    workload: WorkloadSpec
    given: Given

    def with_layers(self, layers: Layers) -> WorkloadSpec:
        """The system where these layers take part; UserError for an option that has no effect on it or with them."""
        for one, _ in self.given.typed:
            if one.in_place and self.workload.module in PROGRAMS:
                raise UserError(f"{one.flag} has no effect on a command.", one.in_place)
            if one.layer not in (None, *layers):
                raise UserError(
                    f"{one.flag} has no effect without the layer {one.layer}.", f"Add {one.layer}, or leave it out."
                )
        return self.workload


@dataclass(frozen=True, kw_only=True)
class _EveryCommand:
    debug: bool = option(False, "Show the traceback of an error.", with_resume=True, asks=False)


def command(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function the command ``name``, which has the options that the function's parameters declare."""

    def made(function: Callable[..., None]) -> Callable[..., None]:
        options = _options_of(function, name)

        def run(**typed: Any) -> None:
            try:
                function(**asked_by(function, name, typed))
            except KeyboardInterrupt:  # which typer itself would answer without a word
                raise typer.Abort from None

        run.__signature__ = inspect.Signature([_parameter(one, name) for one in options])  # type: ignore[attr-defined]
        run.__annotations__ = {}
        run.__name__, run.__doc__ = name.split()[-1], function.__doc__
        return run

    return made


def asked_by(function: Callable[..., None], command: str, typed: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a command's function. Raises UserError for a value that an option cannot have."""
    options = _options_of(function, command)
    given = Given(tuple((one, typed[one.name]) for one in options if _is_given(one, typed[one.name])))
    return {parameter: _value(kind, command, typed, given) for parameter, kind in _kinds(function).items()}


def _kinds(function: Callable[..., None]) -> dict[str, type]:
    return {parameter: kind for parameter, kind in get_type_hints(function).items() if parameter != "return"}


def _options_of(function: Callable[..., None], command: str) -> list[Option]:
    return [one for kind in (*_kinds(function).values(), _EveryCommand) for one in _options(kind, command)]


def _options(kind: type, command: str) -> tuple[Option, ...]:
    """The options that a parameter of this kind stands for."""
    if kind is Given:
        return ()
    return workload_options(command) if kind is AskedSystem else options_of(kind)


def _value(kind: type, command: str, typed: dict[str, Any], given: Given) -> Any:
    """The argument for a parameter of this kind. Raises UserError for a value that an option cannot have."""
    if kind is Given:
        return given
    options = _options(kind, command)
    values = {one.name: one.value(typed[one.name], command) for one in options}
    if kind is not AskedSystem:
        return kind(**values)
    asked = {one.name: values[one.name] for one in options if values[one.name] != one.default}
    module = _door_of(given) or asked.get("module", WorkloadSpec.module)
    folder = {} if module == WorkloadSpec.module else {"folder": str(Path.cwd())}
    workload = read(WorkloadSpec, {**asked, "module": module, **folder})
    # Those of factors are checked by whoever crosses these: there an option has to be of use to one of them alone.
    if not given.flags_of(("factors",)):
        check_options([workload])
    return AskedSystem(workload, given)


def _door_of(given: Given) -> str | None:
    """The module that leads to the user's own trainer, where one was typed. Raises UserError for two systems."""
    typed = {value if one.name == "module" else one.system: one for one, value in reversed(given.typed)}
    typed.pop(None, None)  # options of any system
    doors = [system for system in DOORS if system in typed]
    if doors and len(typed) > 1:
        one, other = (typed[system].named for system in list(typed)[:2])
        raise UserError(f"{one} and {other} belong to different trainers.", "Leave one of them out.")
    return doors[0] if doors else None


def _is_given(one: Option, typed: Any) -> bool:
    return not (one.is_required or typed is None or typed is False or typed == [])


def _parameter(one: Option, command: str) -> inspect.Parameter:
    """The parameter that typer reads; what is not typed comes as None, or False."""
    absent = ... if one.default is ... else False if one.kind is bool else None
    if one.positional:
        info = typer.Argument(absent, help=one.help)
    else:
        info = typer.Option(
            absent,
            one.flag,
            help=one.explained(command),
            metavar=one.metavar,
            hidden=one.hidden or command in one.refused_by,
            show_default=False,
        )
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=one.kind)

"""What a layer changes in a command line: words to add, texts to swap, or a variable."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from m2bench.records.errors import UserError


@dataclass(frozen=True)
class Toggle:
    """One layer: ``added`` words, or ``off`` swapped for ``on``, or ``variables`` set."""

    name: str
    added: tuple[str, ...] = ()
    off: str = ""
    on: str = ""
    variables: dict[str, str] = field(default_factory=dict)


def read_toggle(typed: str, command: str) -> Toggle:
    """The toggle ``name=words``, ``name=off|on`` or ``name=env:NAME=value``. Raises UserError for anything else."""
    name, equals, change = typed.partition("=")
    if not equals or not name.strip() or not change.strip():
        raise UserError(
            f"--toggle {typed!r} changes nothing.", "Give it as amp=--amp, workers='--workers 0|--workers 4' or "
            "tf32=env:TF32=1."
        )  # fmt: skip
    name = name.strip()
    if change.startswith("env:"):
        variable, _, value = change.removeprefix("env:").partition("=")
        return Toggle(name, variables={variable: value})
    if "|" in change:
        off, _, on = change.partition("|")
        if off not in command:
            raise UserError(f"--toggle {name}: {off!r} does not stand in the command.", f"The command is: {command}")
        return Toggle(name, off=off, on=on)
    return Toggle(name, added=tuple(shlex.split(change)))


def switched(command: str, toggles: Iterable[Toggle], seed: int) -> tuple[list[str], dict[str, str]]:
    """The words of the command with these layers on, and the variables to set."""
    variables: dict[str, str] = {}
    added: list[str] = []
    for toggle in toggles:
        command = command.replace(toggle.off, toggle.on) if toggle.off else command
        added += toggle.added
        variables |= toggle.variables
    return [*shlex.split(command.replace("{seed}", str(seed))), *added], variables

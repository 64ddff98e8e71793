"""What the layers of a command line change in it: words to add, texts to swap, or variables."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from m2bench.errors import UserError
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.spec import Options

ENVIRONMENT = "env:"
EXAMPLES = "Give it as amp=--amp, workers='--workers 0|--workers 4', or tf32=env:TF32=1."

NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)

SINGLE_QUOTED = re.compile(r"'[^']*'|\\.", re.DOTALL)
QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", re.DOTALL)
SHELL = re.compile(r"[|&;<>()*?~#\[\n]|^\s*\w+=")
"""What only a shell understands, outside of quotes; with EXPANDED also between double quotes."""
EXPANDED = re.compile(r"[$`]")
SEVERAL = re.compile(r"[|&;()\n]")
"""What makes several commands of one line, so that its end belongs to one of them only."""
COMMENT = re.compile(r"(?:^|[\s;|&()])#")
"""What begins with it is not carried out, whatever is added to it or swapped in it."""
PARTS = re.compile(r"[\s'\"|&;<>()=]+")
MODULE = re.compile(r"(?<!\S)-m\s+([A-Za-z_]\w*)")
"""Of ``python -m package.module`` the package, or the module where it is in none."""
SHELL_CALLED = re.compile(r"\s*(?:\S*/)?(?:sh|bash|zsh|dash|ksh|fish)\s+(?:-\S+\s+)*-\w*c\s")


@dataclass(frozen=True)
class Added:
    """Words at the end of the command."""

    words: str


@dataclass(frozen=True)
class Swapped:
    """A part of the command, and what stands in its place when the layer is on."""

    begin: int
    end: int
    on: str


@dataclass(frozen=True)
class Variable:
    """A variable and its values without and with the layer; None: the shell's."""

    name: str
    off: str | None
    on: str


Change = Added | Swapped | Variable


class CommandLine:
    """A command line with its toggles."""

    def __init__(self, command: str, toggles: Sequence[str], settings: Options | None = None):
        """``settings``: what stands for ``{name}``, by name, where a run of ``scale`` varies it.

        Raises UserError for toggles that change nothing, cannot be read, or contradict each other, and for settings
        that stand nowhere.
        """
        if not command.strip():
            raise UserError("there is no command to run.", "Give one with --command.")
        self.command = command
        self._settings = settings or {}
        self.changes: dict[str, Change] = {}
        for typed in toggles:
            name, change = _read_toggle(typed, command)
            if name in self.changes:
                raise UserError(f"two toggles are called {name}.", "Give each a name of its own.")
            self.changes[name] = change
        for name in self._settings:
            if f"{{{name}}}" not in " ".join([command, *toggles]):
                raise UserError(
                    f"{{{name}}} does not occur in the command.", f"Put it in the place of its value: {command}"
                )
        for layers in (BASELINE, *((name,) for name in self.changes)):
            self._refuse_unreadable(layers)
        for one, other in combinations(self.changes, 2):
            if why := _contradiction(self.changes[one], self.changes[other]):
                raise UserError(f"the toggles {one} and {other} {why}.", "Leave one out, or compare them in two runs.")

    def _refuse_unreadable(self, layers: Layers) -> None:
        try:
            self.words(layers, 0)
        except ValueError as error:
            raise UserError(
                f"the command cannot be split into words, as {combination_name(layers)}: {error}.",
                f"It is: {self._text(layers)}",
            ) from error
        if COMMENT.search(QUOTED.sub("_", self._text(layers))):
            raise UserError(
                f"the command has a comment, as {combination_name(layers)}, and no toggle has an effect in it.",
                f"Leave out what begins with #, or put it in quotes: {self._text(layers)}",
            )

    def refuse_idle(self) -> None:
        """Raise UserError for a variable that has its value in this shell already."""
        for name, change in self._variables():
            if change.off is None:
                _refuse_equal(name, change, os.environ.get(change.name))

    def words(self, layers: Layers, seed: int) -> list[str]:
        """The program and its arguments with these layers on: those of a shell where only that understands it."""
        text = self._filled(self._text(layers), seed)
        return ["sh", "-c", text] if _needs_shell(text) else shlex.split(text)

    def files(self) -> list[Path]:
        """What may name files: the words with one layer at most, and the parts of words, as in a shell's text.

        And the files of the modules and packages that ``-m`` names.
        """
        words = [word for layers in (BASELINE, *((each,) for each in self.changes)) for word in self.words(layers, 0)]
        modules = {*MODULE.findall(" ".join(words))}
        return [
            *(Path(part) for word in words for part in (word, *PARTS.split(word)) if part),
            *(Path(f"{name}.py") for name in modules),
            *(file for name in modules for file in Path(name).rglob("*.py")),
        ]

    def variables(self, layers: Layers, seed: int) -> dict[str, str]:
        """The variables to set with these layers on."""
        found = {change.name: change.on if name in layers else change.off for name, change in self._variables()}
        return {name: self._filled(value, seed) for name, value in found.items() if value is not None}

    def typed(self, layers: Layers) -> str:
        """What is typed in a shell to run the command with these layers on."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.variables(layers, 0).items()]
        text = self._filled(self._text(layers), 0)
        if settings and _needs_shell(text):
            text = shlex.join(["sh", "-c", text])
        return " ".join([*settings, text])

    def _filled(self, text: str, seed: int) -> str:
        """The text with the values that stand for names in braces."""
        for name, value in {"seed": seed, **self._settings}.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def _variables(self) -> list[tuple[str, Variable]]:
        return [(name, change) for name, change in self.changes.items() if isinstance(change, Variable)]

    def _text(self, layers: Layers) -> str:
        changes = [self.changes[name] for name in self.changes if name in layers]
        text = self.command
        # From the end, so that the places of those before stay where they are.
        for swap in sorted((c for c in changes if isinstance(c, Swapped)), key=lambda c: c.begin, reverse=True):
            text = text[: swap.begin] + swap.on + text[swap.end :]
        return " ".join([text, *(change.words for change in changes if isinstance(change, Added))])

    def summary(self, name: str) -> str:
        """What a layer does, in a few words."""
        match self.changes[name]:
            case Added(words):
                return f"adds {words}"
            case Swapped(begin, end, on):
                off = self.command[begin:end]
                return f"{on or 'nothing'} in place of {off}"
            case Variable(variable, off, on):
                return f"{variable}={on}" + ("" if off is None else f" in place of {off}")


def _needs_shell(text: str) -> bool:
    return bool(SHELL.search(QUOTED.sub("_", text)) or EXPANDED.search(SINGLE_QUOTED.sub("_", text)))


def _read_toggle(typed: str, command: str) -> tuple[str, Change]:
    name, equals, change = typed.partition("=")
    if not equals or not change.strip(" |"):
        raise UserError(f"--toggle {typed!r} changes nothing.", EXAMPLES)
    if not NAME.fullmatch(name) or name == combination_name(BASELINE):
        raise UserError(
            f"--toggle {typed!r}: {name!r} cannot be a layer's name.",
            f"Use letters, digits, '-', '_' and '.'; {combination_name(BASELINE)!r} is the command as it is.",
        )
    if change.startswith(ENVIRONMENT):
        return name, _read_variable(name, change.removeprefix(ENVIRONMENT), command)
    off, bar, on = change.partition("|")
    if "|" in on:
        raise UserError(f"--toggle {name} has more than one |.", EXAMPLES)
    if bar and off.strip():
        return name, _read_swap(name, off, on, command)
    return name, _read_added(name, on if bar else off, command)


def _read_variable(name: str, change: str, command: str) -> Variable:
    variable, equals, value = change.partition("=")
    if not equals or not VARIABLE.fullmatch(variable):
        raise UserError(f"--toggle {name}: {change!r} sets no variable.", "Give it as env:NAME=value.")
    if re.search(rf"(?<![\w.-]){variable}=", command):
        raise UserError(f"--toggle {name}: the command sets {variable} itself.", "Swap that text: NAME=off|NAME=on.")
    off, bar, on = value.partition("|")
    found = Variable(variable, off, on) if bar else Variable(variable, None, value)
    _refuse_equal(name, found, found.off)
    return found


def _refuse_equal(layer: str, found: Variable, without: str | None) -> None:
    if found.on == without:
        raise UserError(
            f"--toggle {layer} changes nothing: {found.name} is {found.on!r} without it.",
            f"Give both values, as {layer}=env:{found.name}=off|on.",
        )


def _read_swap(name: str, off: str, on: str, command: str) -> Swapped:
    """A swap of the one place where ``off`` stands: as whole words, or else as a part of one."""
    text = re.escape(off)
    places = [*re.finditer(rf"(?<!\S){text}(?!\S)", command)] or [*re.finditer(text, command)]
    if len(places) != 1:
        how = f"occurs {len(places)} times in the command" if places else "does not occur in the command"
        remedy = "Include the words beside the one that you mean" if places else "Write it as it is there"
        raise UserError(f"--toggle {name}: {off!r} {how}.", f"{remedy}: {command}")
    if off == on:
        raise UserError(f"--toggle {name} changes nothing: both texts are {off!r}.", EXAMPLES)
    return Swapped(*places[0].span(), on)


def _read_added(name: str, words: str, command: str) -> Added:
    if SEVERAL.search(QUOTED.sub("_", command)) or SHELL_CALLED.match(command):
        raise UserError(
            f"--toggle {name}: in a command for a shell it is not clear where {words!r} is to be added.",
            f"Swap texts instead, as in {name}='train.py|train.py {words}'.",
        )
    if re.search(rf"(?<!\S){re.escape(words.strip())}(?!\S)", command):
        raise UserError(f"--toggle {name}: {words!r} is in the command already.", "Take it out of --command.")
    return Added(words)


def _contradiction(one: Change, other: Change) -> str:
    """Why two changes cannot both be made; empty where they can."""
    if isinstance(one, Swapped) and isinstance(other, Swapped):
        (_, first_end), (second_begin, _) = sorted(((one.begin, one.end), (other.begin, other.end)))
        return "swap the same part of the command" if second_begin < first_end else ""
    if isinstance(one, Variable) and isinstance(other, Variable):
        return f"both set {one.name}" if one.name == other.name else ""
    if isinstance(one, Added) and isinstance(other, Added):
        return "add the same words" if one.words.split() == other.words.split() else ""
    return ""

"""The options of a user's command. Without torch, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from m2bench.options.known_systems import Call, KnownSystem
from m2bench.options.option import at_least, option, options_of
from m2bench.records.combinations import Layers
from m2bench.records.spec import Options

from .toggles import CommandLine


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """Which command is run, what is switched in it, and what is read from its output."""

    command: str | None = option(
        None,
        "Your own trainer as a command line, in any language; {seed} in it is replaced by the trial's seed.",
        kind=str,
        metavar="<words>",
    )
    toggle: tuple[str, ...] = option(
        (),
        "What a layer changes in --command: name=words to add, name=off|on to swap texts, name=env:NAME=value. "
        "Repeat it for each layer.",
        kind=list[str],
        metavar="<name=change>",
        read=lambda flag, typed: tuple(typed),
    )
    metric: tuple[str, ...] = option(
        (),
        "What to read from the output: a regular expression with one group around the number, json:KEY, or time, of "
        "the whole command. Repeatable: combinations are ranked by the first.",
        kind=list[str],
        metavar="<pattern>",
        read=lambda flag, typed: tuple(typed),
        shown="time",
    )
    lower_is_better: bool = option(False, "A smaller value of the first --metric is better.")
    skip_first: int = option(
        0,
        "How many first matches of each --metric to skip as warm-up; the others are averaged.",
        read=at_least(0),
        shown="only the last match counts",
    )


OPTIONS = tuple(
    replace(one, commands=("ablate", "scale", "check", "baseline save", "layers"), refused_by=("profile", "train"))
    for one in options_of(CommandOptions)
)


def call_with(options: Options, layers: Layers) -> Call:
    """The user's command with these layers switched on."""
    return Call(CommandLine(options["command"], options["toggle"]).typed(layers), "sh")


KNOWN = KnownSystem(OPTIONS, call_with=call_with)

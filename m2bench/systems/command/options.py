"""The options of a user's command. Without torch, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.records.declared_options import at_least, option, options_of

COMMANDS = ("ablate", "check", "baseline save", "layers")


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """Which command is run, what is switched in it, and what is read from its output."""

    command: str | None = option(
        None, "Your own trainer as a command line; {seed} in it is replaced.", kind=str, metavar="<words>",
        commands=COMMANDS,
    )  # fmt: skip
    toggle: tuple[str, ...] = option(
        (),
        "What a layer changes in --command: name=words to add, name=off|on to swap texts, name=env:NAME=value. "
        "Once per layer.",
        kind=list[str],
        metavar="<name=change>",
        read=lambda flag, typed: tuple(typed),
        commands=COMMANDS,
    )
    metric: tuple[str, ...] = option(
        (),
        "What is read from the output: a pattern with one group, or json:KEY; the first is ranked. Without it, the "
        "command's own time.",
        kind=list[str],
        metavar="<pattern>",
        read=lambda flag, typed: tuple(typed),
        commands=COMMANDS,
    )
    lower_is_better: bool = option(
        False, "A smaller value of the first --metric is better.", commands=COMMANDS
    )  # fmt: skip
    skip_first: int = option(0, "Matches of a pattern that are warm-up; the mean of the others counts.",
        read=at_least(0), commands=COMMANDS, shown="the last match counts")  # fmt: skip


OPTIONS = options_of(CommandOptions)

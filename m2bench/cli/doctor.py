"""The command ``doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import typer

from m2bench.options.option import in_range, option

from .command import AskedSystem, command
from .console import answer, make_console
from .shared_options import AsJson


@dataclass(frozen=True, kw_only=True)
class Doctor(AsJson):
    """What ``doctor`` is asked for."""

    seconds: float = option(30.0, "Length of the noise test.", read=in_range(1, 3600))


@command("doctor")
def doctor(asked: Doctor, system: AskedSystem) -> None:
    """Check this machine: what disturbs measurements on it, and how small an effect a run can detect."""
    from m2bench.inspect.doctor import examine, show_examination

    found = examine(system.workload, asked.seconds, make_console(to_stderr=asked.as_json))
    answer(found, asked.as_json, partial(show_examination, found))
    if not found.fit:
        raise typer.Exit(1)

"""The command ``report``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2bench.errors import UserError
from m2bench.options.option import argument, option

from .command import command
from .console import make_console

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Report:
    """What ``report`` is asked for."""

    folder: Path = argument("Folder of a run, finished or not.")
    trace: str | None = option(
        None,
        "Show the trials behind one figure: a layer, a combination (a+b), an interaction (a*b), noise or learning.",
    )


@command("report")
def report(asked: Report) -> None:
    """Rebuild the report of a run from its stored results, and show it."""
    from m2bench.report.write_report import write_and_show

    if asked.trace is not None:
        _show_trials(asked.folder, asked.trace)
        return
    write_and_show(asked.folder, make_console())


def _show_trials(folder: Path, figure: str) -> None:
    from m2bench.inspect.trials_behind import trace
    from m2bench.store.results_database import Store
    from m2bench.text.tables import draw_table

    with Store.open(folder) as store:
        for table in trace(store.record(), store.trials(), figure):
            draw_table(table, make_console())


def report_run(folder: Path, console: Console) -> None:
    """Write and show the report of the run that has just ended; UserError when nothing could be compared."""
    from m2bench.report.write_report import write_and_show
    from m2bench.store.fleet import is_fleet

    why = write_and_show(folder, console)
    if why is not None:
        logs = folder / "*" / "logs" if is_fleet(folder) else folder / "logs"
        raise UserError(f"{why.rstrip('.')}.", f"The reasons are above; the logs are in {logs}.")

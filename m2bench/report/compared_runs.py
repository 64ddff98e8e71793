"""What ``compare`` prints of two runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from m2bench.findings.compare_runs import ComparedCombination, ComparedLayer, ComparedRuns
from m2bench.records.combinations import combination_name
from m2bench.statistics.sequential import JOB_LEVEL_SD, JOB_SD
from m2bench.text.figures import times_within
from m2bench.text.tables import Table, draw_table


def show_comparison(found: ComparedRuns, console: Console) -> None:
    """Print the tables, and a sentence on absolute speeds."""
    draw_table(
        _table(
            "Combinations: speedup over each run's own baseline",
            found,
            [(combination_name(c.layers), c) for c in found.combinations],
        ),
        console,
    )
    draw_table(_table("Layers", found, [(f"{x.layer} ({x.effect})", x) for x in found.layers]), console)
    console.print(_absolute_sentence(found))


def _table(title: str, found: ComparedRuns, rows: Sequence[tuple[str, ComparedLayer | ComparedCombination]]) -> Table:
    columns = ("what", found.a, found.b, "change")
    cells = [(name, *map(times_within, (row.a, row.b, row.change))) for name, row in rows]
    return Table(title, columns, cells, frozenset(columns[1:]))


def _absolute_sentence(found: ComparedRuns) -> str:
    """How absolute speeds compare, if the machines are equal."""
    if found.absolute is None:
        differing = "; ".join(found.machines_differ_in)
        return f"Absolute speeds cannot be compared, since the machines differ ({differing}). The ratios above can."
    change = found.absolute.change
    if change is None:
        return "Absolute speeds cannot be compared: one of the runs has no baseline trial that is ok."
    chance = "" if change.interval else " With one block each there is no interval."
    return (
        f"The baseline's speed in {found.b} over {found.a}: {times_within(change)}. One block is one "
        f"observation here. Two runs of the same code differ by chance (standard deviation {JOB_LEVEL_SD:.1%} in "
        f"speed, {JOB_SD:.1%} in ratios); all intervals of a change allow for this.{chance}"
    )

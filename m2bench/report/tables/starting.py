"""What training costs before it runs at its speed."""

from __future__ import annotations

from collections.abc import Callable

from m2bench.records.combinations import combination_name
from m2bench.report.sentences import compared
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.text.figures import NOTHING, digits, within
from m2bench.text.tables import Table

from .notes import OVER_TRIALS

UNTIL_FIRST_UPDATE = (
    "Set-up: until the first update is done, in which such a trainer sets up and compiles. How much of it is compiling "
    "is not known: compare with the baseline's."
)


def starting_table(summary: Summary) -> Table | None:
    """What training costs before it runs at its speed, of the plainest combinations and of those looked at closely."""
    names, units = tuple(layer.name for layer in summary.layers), summary.system.unit.many
    chosen = dict.fromkeys([(), *((name,) for name in names), names, *(c.layers for c in compared(summary).values())])
    found = {c.layers: c for c in summary.combinations if c.trials_ok}
    shown = [found[layers] for layers in chosen if layers in found]
    if not shown:
        return None
    columns: dict[str, Callable[[CombinationRow], str]] = {
        "set-up": lambda c: within(c.setup_s),
        "warm-up": lambda c: within(c.warmup_s),
    }
    notes = [OVER_TRIALS, *[UNTIL_FIRST_UPDATE] * summary.system.first_update_sets_up]
    if any(c.compile_cold_s is not None for c in shown):
        columns["first compilation"] = lambda c: digits(c.compile_cold_s)
        notes.append("First compilation: with an empty cache. It happens once per machine, so it has no interval.")
    if any(c.compile_s is not None for c in shown):
        columns["compiling from the cache"] = lambda c: within(c.compile_s)
    if len(columns) > 2:
        columns[f"pays back after, {units}"] = _pays_back
        notes.append(
            f"Pays back after: {units} until compiling (from the cache, where that is known) has saved the time it "
            "took, with the interval that follows from the gain. A dash: nothing to compile."
        )
    table = Table(
        title="Start-up time in seconds",
        columns=("layers", *columns),
        rows=[(combination_name(c.layers), *(cell(c) for cell in columns.values())) for c in shown],
        numeric=frozenset(columns),
        droppable=tuple(columns)[:-1],
        notes=tuple(notes),
    ).without_empty_columns()
    return table if len(table.columns) > 1 else None


def _pays_back(combination: CombinationRow) -> str:
    if combination.compile_s is None and combination.compile_cold_s is None:
        return NOTHING
    known = combination.break_even_episodes if combination.compile_s else combination.break_even_cold_episodes
    return "not shown" if known is None else within(known)

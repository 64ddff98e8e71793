"""Where the time of a unit goes."""

from __future__ import annotations

from m2bench.records.figure import Figure
from m2bench.report.sentences import compared, named_in_brackets
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import within
from m2bench.text.tables import Table

from .notes import OVER_TRIALS


def phases_table(summary: Summary) -> Table | None:
    """Milliseconds per unit in each phase."""
    shown = compared(summary)
    if not shown:
        return None
    by_phase = [c.usage.phase_ms_per_episode or {} for c in shown.values()]
    phases = dict.fromkeys(name for found in by_phase for name in found)
    if not phases:
        return None
    rows = [(name, *(within(found.get(name, Figure(0.0))) for found in by_phase)) for name in phases]
    return Table(
        title=f"Time of one {summary.system.unit.one} by phase, ms{named_in_brackets(shown)}",
        columns=("phase", *shown),
        rows=[*rows, ("sum", *(within(c.usage.phases_sum_ms) for c in shown.values()))],
        numeric=frozenset(shown),
        droppable=tuple(shown)[2:],
        notes=(OVER_TRIALS,),
    )

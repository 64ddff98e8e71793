"""How long combinations that learn alike take to the learning target."""

from __future__ import annotations

from m2bench.records.combinations import combination_name
from m2bench.summary.ablation_summary import LearningGroup, Summary
from m2bench.text.figures import NOTHING, within
from m2bench.text.tables import Table


def groups_table(summary: Summary) -> Table | None:
    """One row per group of combinations that learn alike: the units they need to the target."""
    cells = summary.learning.cells
    if not cells:
        return None
    rows = [
        (
            str(cell.episodes_per_update),
            combination_name(cell.layers),
            f"{cell.reached} of {cell.trials}",
            _episodes_to_target(cell),
            "-".join(f"{episodes:,.0f}" for episodes in cell.episodes_to_target_range or ()) or NOTHING,
        )
        for cell in cells
    ]
    units = summary.system.unit.many
    per_update, to_target = f"{units} per update", f"{units} to target"
    columns = (per_update, "trained with", "seeds that reached it", to_target, "range")
    return Table(
        title=f"{units.capitalize()} to the learning target (geometric mean over seeds)",
        columns=columns,
        rows=rows,
        numeric=frozenset({per_update, to_target}),
        droppable=("range", "seeds that reached it"),
    )


def _episodes_to_target(cell: LearningGroup) -> str:
    """The mean with its interval, or how many units were not enough."""
    return f"over {cell.not_within:,.0f}" if cell.episodes_to_target is None else within(cell.episodes_to_target)

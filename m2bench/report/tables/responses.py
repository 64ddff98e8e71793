"""What the layers do to other costs than time."""

from __future__ import annotations

from collections.abc import Callable

from m2bench.records.figure import Figure
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import Responses
from m2bench.text.figures import times_within
from m2bench.text.tables import Table

RESPONSES: dict[str, Callable[[Responses], Figure | None]] = {
    "seconds to target (Shapley)": lambda found: found.time_to_target_s.shapley,  # alone, it is in the impact table
    "memory (alone)": lambda found: found.peak_memory_mb.alone,
    "memory (Shapley)": lambda found: found.peak_memory_mb.shapley,
    "energy (alone)": lambda found: found.energy_j_per_episode.alone,
    "energy (Shapley)": lambda found: found.energy_j_per_episode.shapley,
}


def responses_table(summary: Summary) -> Table | None:
    """One row per layer: what it does to everything that was measured besides the speed."""
    columns = [name for name, of in RESPONSES.items() if any(of(layer.responses) for layer in summary.layers)]
    if not columns:
        return None
    rows = [
        (layer.name, *(times_within(RESPONSES[name](layer.responses)) for name in columns)) for layer in summary.layers
    ]
    return Table(
        title="Effect of each layer on other costs: ratio [95 % interval], below 1.00x is less",
        columns=("layer", *columns),
        rows=rows,
        numeric=frozenset(columns),
        droppable=tuple(columns[1:]),
    )

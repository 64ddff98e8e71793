"""Speed by the size that a sweep varies."""

from __future__ import annotations

from m2bench.records.combinations import combination_name
from m2bench.records.summary import Summary
from m2bench.text.figures import (
    times_within,
    within,
)
from m2bench.text.speed import Speed
from m2bench.text.tables import Table


def sweep_table(summary: Summary) -> Table | None:
    """One row per size that was tried with the fastest combination."""
    sweep = summary.sweep
    if sweep is None or sweep.layers is None:
        return None
    speed = Speed.of(summary.system)
    rows = [
        (
            str(size.num_envs),
            times_within(size.speedup),
            speed.within(size.episodes_per_min),
            within(size.peak_memory_mb),
            size.reason or "ok",
        )
        for size in sweep.sizes
    ]
    level = speed.heading
    columns = (sweep.unit.many, speed.words.ratio, level, "memory MB", "status")
    return Table(
        title=f"Speed by number of {sweep.unit.many}, with {combination_name(sweep.layers)}",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[:4]),
        droppable=("memory MB", level),
        notes=(
            f"Brackets of {speed.words.ratio} and {level}: 95 % intervals that hold for all sizes at once, and so for "
            "the fastest, from the scatter of all sizes. Brackets of memory: over the trials of a size. A figure "
            "without brackets is from one block.",
        ),
    )

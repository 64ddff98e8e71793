"""The machine before and after: as claimed, and as measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from m2bench.records.figure import Figure
from m2bench.report.sentences import compared, named_in_brackets
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.text.figures import NOTHING, digits, percent_within, within
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

MachineRows = Mapping[str, tuple[str, Callable[[CombinationRow], str]]]
"""By the label of a row: its name among the claims for all layers together, and what a combination has there."""
OF_THE_MACHINE: MachineRows = {
    "utilization": ("utilization", lambda c: percent_within(c.usage.utilization)),
    "memory MB": ("peak_memory_mb", lambda c: within(c.peak_memory_mb)),
}
COUNTED: MachineRows = {
    "operators dispatched": ("dispatches_per_episode", lambda c: _count(c.usage.dispatches_per_episode)),
    "values read by the host": ("syncs_per_episode", lambda c: _count(c.usage.syncs_per_episode)),
    "matrix-product MFLOP": ("flops_per_episode", lambda c: _millions(c.usage.flops_per_episode)),
    "matrix-product FLOP per byte": ("flops_per_byte", lambda c: digits(c.usage.flops_per_byte)),
    "matrix-product GFLOP/s": ("flops_per_s", lambda c: _billions(c.usage.flops_per_s)),
    "share of the matrix-product peak": ("mfu", lambda c: percent_within(c.usage.mfu)),
}
OF_COUNTS = (
    "Operators, values read and matrix products are counted in a window of their own in each trial. They depend on the "
    "code alone and have no interval."
)


def before_and_after_table(summary: Summary) -> Table | None:
    """What was claimed for the machine before and after, and what combinations do to it."""
    shown = compared(summary)
    if not shown:
        return None
    unit, speed = summary.system.unit, Speed.of(summary.system)
    levels: MachineRows = {speed.heading: ("episodes_per_min", lambda c: speed.within(c.episodes_per_min))}
    if not speed.is_time:
        levels = {f"ms per {unit.one}": ("ms_per_episode", lambda c: within(c.ms_per_episode)), **levels}
    rows = [
        (label, *summary.claimed_together.get(name, (NOTHING, NOTHING)), *map(cell, shown.values()))
        for label, (name, cell) in {**levels, **OF_THE_MACHINE, **COUNTED}.items()
    ]
    told = [row for row in rows if set(row[1:]) != {NOTHING}]
    columns = ("claimed before", "claimed after", *shown)
    return Table(
        title=f"Before and after{named_in_brackets(shown)}",
        columns=(f"per {unit.one}, or of the machine", *columns),
        rows=told,
        numeric=frozenset(columns),
        droppable=(*columns[:2], *list(shown)[2:]),
        notes=(
            f"Brackets: 95 % t intervals. Those of {speed.heading}, and of what is derived from it, come from the fit "
            "of all trials, the others from the trials of a combination. A figure without brackets is from one trial, "
            "or was 0 in some.",
            *[OF_COUNTS] * any(row[0] in COUNTED for row in told),
        ),
    ).without_empty_columns()


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _billions(figure: Figure | None) -> str:
    return within(figure and figure.scaled(1e-9))


def _millions(value: float | None) -> str:
    return digits(value and value / 1e6)

"""All metrics that a user's command tells."""

from __future__ import annotations

from m2bench.records.combinations import combination_name
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import Metric
from m2bench.text.figures import NOTHING, times_within, within
from m2bench.text.tables import Table

from .combinations import ranked_rows


def metrics_table(summary: Summary) -> Table | None:
    """One row per combination: every metric that it tells, and what that is over the baseline's."""
    told = {c.layers: {metric.name: metric for metric in c.metrics} for c in ranked_rows(summary) if c.metrics}
    names = dict.fromkeys(name for metrics in told.values() for name in metrics)
    if len(names) < 2:
        return None
    columns = [column for name in names for column in (name, f"{name}: ratio")]
    return Table(
        title=f"Metrics of each combination (ranked by {next(iter(names))})",
        columns=("layers", *columns),
        rows=[
            (combination_name(layers), *(cell for name in names for cell in _cells(metrics.get(name))))
            for layers, metrics in told.items()
        ],
        numeric=frozenset(columns),
        droppable=tuple(columns[:1:-1]),
        notes=(
            "ratio: over the baseline's, of the metric itself, whether more or less of it is better. Brackets: 95 % "
            "intervals. A metric that is 0 or less in some trial has no ratio.",
        ),
    ).without_empty_columns()


def _cells(metric: Metric | None) -> tuple[str, str]:
    return (NOTHING, NOTHING) if metric is None else (within(metric.level, fine=True), times_within(metric.ratio))

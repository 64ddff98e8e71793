"""The metrics of a user's command, by combination. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from m2bench.records.combinations import Layers
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import figure_of, typical
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.rows import CombinationRow, Metric

from .responses import fit


def with_metrics(rows: Sequence[CombinationRow], layers: Layers, trials: Sequence[StoredTrial]) -> list[CombinationRow]:
    """The rows with the metrics that their trials report."""
    told = [
        ToldMetric.of(name, layers, trials)
        for name in dict.fromkeys(n for trial in trials for n in trial.timed.metrics)
    ]
    return [
        replace(row, metrics=tuple(each.metric(row.layers) for each in told if row.layers in each.values))
        for row in rows
    ]


@dataclass(frozen=True)
class ToldMetric:
    """The values of one metric by combination, and their fit, as that of the speed.

    No fit where one of them is 0 or less, which has no logarithm.
    """

    name: str
    values: dict[Layers, list[float]]
    effects: Effects | None

    @classmethod
    def of(cls, name: str, layers: Layers, trials: Sequence[StoredTrial]) -> ToldMetric:
        """From the trials that report it."""

        def response(trial: StoredTrial) -> float | None:
            return trial.timed.metrics.get(name)

        values: dict[Layers, list[float]] = defaultdict(list)
        for trial in trials:
            if (value := response(trial)) is not None:
                values[trial.spec.layers].append(value)
        has_logarithms = all(value > 0 for found in values.values() for value in found)
        return cls(name, dict(values), fit(layers, trials, response) if has_logarithms else None)

    def metric(self, layers: Layers) -> Metric:
        """What is typical of a combination's trials, and its ratio to the baseline."""
        if self.effects is None:
            return Metric(self.name, figure_of(typical(self.values[layers])), None)
        return Metric(self.name, figure_of(self.effects.level(layers)), figure_of(self.effects.ratio(layers)))

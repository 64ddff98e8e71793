"""What a user's command tells of each combination by its metrics, besides the one that is ranked. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.records.summary import CombinationRow
from m2bench.records.trials import StoredTrial
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import figure_of, typical

from .responses import fit


def with_metrics(
    rows: Sequence[CombinationRow], layers: Layers, trials: Sequence[StoredTrial]
) -> list[CombinationRow]:
    """The rows with each metric that the trials tell, and with what it is over the baseline's."""
    names = dict.fromkeys(name for trial in trials for name in trial.timed.metrics)
    told = {name: Metric.of(name, layers, trials) for name in names}
    return [
        replace(
            row,
            metrics={name: level for name, metric in told.items() if (level := metric.level(row.layers))},
            metric_ratios={name: ratio for name, metric in told.items() if (ratio := metric.ratio(row.layers))},
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Metric:
    """One metric: its values by combination, and their fit, as that of the speed.

    No fit where one of them is 0 or less, which has no logarithm.
    """

    values: dict[Layers, list[float]]
    effects: Effects | None

    @classmethod
    def of(cls, name: str, layers: Layers, trials: Sequence[StoredTrial]) -> Metric:
        """From the trials that tell it."""

        def response(trial: StoredTrial) -> float | None:
            return trial.timed.metrics.get(name)

        values: dict[Layers, list[float]] = defaultdict(list)
        for trial in trials:
            if (value := response(trial)) is not None:
                values[trial.spec.layers].append(value)
        has_logarithms = all(value > 0 for found in values.values() for value in found)
        return cls(dict(values), fit(layers, trials, response) if has_logarithms else None)

    def level(self, layers: Layers) -> Figure | None:
        """What is typical of a combination's trials."""
        if self.effects is None:
            return figure_of(typical(self.values.get(layers, ())))
        return figure_of(self.effects.level(layers))

    def ratio(self, layers: Layers) -> Figure | None:
        """A combination's level over that of the baseline."""
        return None if self.effects is None else figure_of(self.effects.ratio(layers))

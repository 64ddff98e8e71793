"""Which layers are shown to help, given the rest of a set. Pure."""

from __future__ import annotations

from collections.abc import Collection

from m2bench.records.combinations import Layers
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.prediction import Prediction

FALSELY_SHOWN = 0.01  # the chance that any layer of any set is taken to help where none does


class ShownToHelp:
    """Which layers are shown to help, given the rest of a set, among all sets and their layers together."""

    def __init__(self, sets: list[Layers], speeds: Prediction):
        self._speeds = speeds
        self.rules = speeds.rules
        self.level = FALSELY_SHOWN / max(1, sum(len(chosen) for chosen in sets))
        """Of one one-sided test, by Bonferroni's rule."""

    def every_layer(self, chosen: Layers, but: Collection[Layers] = ()) -> bool:
        """Whether every layer of the set is shown to help; not tested where the set without it is in ``but``."""
        return all(self.is_shown(self._speeds.ratio(chosen, rest)) for rest in self.rests(chosen) if rest not in but)

    def rests(self, chosen: Layers) -> list[Layers]:
        """The set without each of its layers, and without what needs that one."""
        return [self.rules.without(layer, chosen) for layer in chosen]

    def is_shown(self, gain: Estimate | None) -> bool:
        """Whether this is a gain that is shown."""
        if gain is None or gain.p is None or gain.interval is None:
            return False
        return gain.ratio > 1 and gain.p / 2 <= self.level

"""Which layers make the gain, and which gain is worth a switch. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from m2bench.statistics.effects import Effects
from m2bench.summary.ablation_summary import Gains
from m2bench.summary.rows import LayerRow

INDIFFERENT = 0.05  # a share of the speed that nobody would switch a layer on or off for
MOST_OF_IT = 0.9  # of all gains: the layers that are named as making them


def attribute_gains(layers: Sequence[LayerRow], speeds: Effects) -> Gains | None:
    """The layers that are shown to gain, and the fewest of them that make most of the gain; None without any."""
    values = {
        x.name: x.speed.shapley.value
        for x in layers
        if x.speed.shapley and x.speed.shapley.shows_gain and x.name in speeds.all_together
    }
    names = tuple(sorted(values, key=lambda name: -values[name]))
    for count in range(1, len(names) + 1):
        share = speeds.share_of(names[:count], names)
        if share.ratio >= MOST_OF_IT:
            return Gains(names, names[:count], share.figure)
    return None

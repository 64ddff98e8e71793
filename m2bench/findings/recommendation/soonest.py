"""The set that reaches the learning target first, and whether that is shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from m2bench.records.combinations import Layers
from m2bench.statistics.estimate import CONFIDENCE, Estimate
from m2bench.statistics.prediction import Prediction

from .candidates import fastest_of
from .shown import ShownToHelp

Sooner = Callable[[Layers, Layers], Estimate | None]
"""How many times sooner the first combination reaches the learning target than the second."""


def soonest(
    arriving: Sequence[Layers],
    sizes: Mapping[Layers, float | None],
    by_speed: Layers,
    shown: ShownToHelp,
    speeds: Prediction,
    sooner: Sooner,
) -> tuple[Layers | None, bool]:
    """The set that reaches the target first, and whether it is shown to be sooner than the one chosen by speed.

    Combinations with equal episodes per update learn alike, so among them it is the fastest whose layers are shown to
    help. A layer that changes the episodes per update must be shown to make the set sooner than it is without.
    """
    if by_speed not in arriving:
        return None, False
    # What learns otherwise without one of its layers.
    apart = {
        name: [rest for rest in shown.rests(name) if sizes.get(rest) not in (None, sizes[name])] for name in arriving
    }
    found = {}
    for size in dict.fromkeys(sizes[name] for name in arriving):
        alike = [name for name in arriving if sizes[name] == size]
        helped = [name for name in alike if shown.every_layer(name, apart[name])]
        best = by_speed if sizes[by_speed] == size else fastest_of(helped, speeds)
        if best in alike:
            found[best] = 1.0 if best == by_speed else _ratio(sooner(best, by_speed))
    several = max(1, len(found) - 1)

    def is_sooner(name: Layers) -> bool:
        against = [sooner(name, other) for other in (by_speed, *apart[name])]
        return all(
            e is not None and e.p is not None and e.ratio > 1 and e.p / 2 * several <= (1 - CONFIDENCE) / 2
            for e in against
        )

    proved = [name for name in found if name != by_speed and is_sooner(name)]
    return max(proved or found, key=lambda name: found[name]), bool(proved)


def _ratio(estimate: Estimate | None) -> float:
    return 0.0 if estimate is None else estimate.ratio

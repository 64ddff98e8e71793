"""What a run of ``ablate --factors`` found."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure

from .subject import RunSummary


@dataclass(frozen=True)
class WayOfLearning:
    """One combination of factors, over its seeds.

    ``arrived``: of how many ``trials`` the target was reached. The figures are None where one did not: what did not
    arrive is not left out. ``setbacks``: the share of the return's movement that is downwards.
    """

    factors: Layers
    trials: int
    arrived: int
    seconds: Figure | None
    episodes: Figure | None
    setbacks: Figure | None
    reason: str | None


@dataclass(frozen=True)
class FactorEffect:
    """What a factor does, as ratios of with it to without it: less than 1 is sooner.

    ``alone``: added to none; ``mean``: over all combinations of the others. ``setbacks``: the difference of the shares,
    alone.
    """

    name: str
    claim: str
    seconds_alone: Figure | None
    seconds_mean: Figure | None
    episodes_alone: Figure | None
    episodes_mean: Figure | None
    setbacks: Figure | None


@dataclass(frozen=True)
class FactorsSummary(RunSummary):
    """``soonest``: the way that takes the fewest seconds, and ``rivals`` those not shown to take more."""

    layers: Layers
    seeds: int
    warnings: tuple[str, ...]
    ways: tuple[WayOfLearning, ...]
    effects: tuple[FactorEffect, ...]
    soonest: Layers | None
    rivals: tuple[Layers, ...]

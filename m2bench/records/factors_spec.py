"""What a run of ``ablate --factors`` varies: options of the system, each on or off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from .combinations import BASELINE, Layers


@dataclass(frozen=True)
class Factor:
    """One claim about learning: the options of the system with it, and without it."""

    name: str
    claim: str
    on: Mapping[str, Any]
    off: Mapping[str, Any]


@dataclass(frozen=True)
class Factors:
    """Which factors are crossed, and the layers that are on in every trial.

    A combination of factors is named as one of layers is; ``baseline`` has none of them.
    """

    factors: tuple[Factor, ...]
    layers: Layers = field(default=BASELINE)

    @property
    def names(self) -> Layers:
        """In order."""
        return tuple(factor.name for factor in self.factors)

    @property
    def combinations(self) -> list[Layers]:
        """All of them, smallest first."""
        return [chosen for size in range(len(self.names) + 1) for chosen in combinations(self.names, size)]

    def options_of(self, chosen: Layers) -> dict[str, Any]:
        """The options of the system in this combination."""
        each = (factor.on if factor.name in chosen else factor.off for factor in self.factors)
        return {name: value for options in each for name, value in options.items()}

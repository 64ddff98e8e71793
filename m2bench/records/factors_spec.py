"""What a run of ``ablate --factors`` varies: options of the system and layers, each on or off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from .combinations import BASELINE, Layers
from .documents import LEFT_OUT

Response = Literal["time", "steadiness"]


@dataclass(frozen=True)
class Factor:
    """One claim about learning: the options of the system with it, and without it.

    ``claims``: by what the claim is judged, the time to the target or how steadily it is reached.
    """

    name: str
    claim: str
    on: Mapping[str, Any]
    off: Mapping[str, Any]
    claims: Response = field(default="time", metadata=LEFT_OUT)


@dataclass(frozen=True)
class Factors:
    """Which factors are crossed, and the layers that are on in every trial.

    ``crossed``: layers that are crossed with the factors. A combination of both is named as one of layers is;
    ``baseline`` has none of them. Without its layers it is a way of learning.
    """

    factors: tuple[Factor, ...]
    layers: Layers = field(default=BASELINE)
    crossed: Layers = field(default=BASELINE, metadata=LEFT_OUT)

    @property
    def names(self) -> Layers:
        """Those of the factors."""
        return tuple(factor.name for factor in self.factors)

    @property
    def combinations(self) -> list[Layers]:
        """All of factors and crossed layers, smallest first."""
        return _subsets((*self.names, *self.crossed))

    @property
    def ways(self) -> list[Layers]:
        """All of factors alone, smallest first."""
        return _subsets(self.names)

    @property
    def stacks(self) -> list[Layers]:
        """All of crossed layers alone, smallest first."""
        return _subsets(self.crossed)

    def options_of(self, chosen: Layers) -> dict[str, Any]:
        """The options of the system in this combination."""
        each = (factor.on if factor.name in chosen else factor.off for factor in self.factors)
        return {name: value for options in each for name, value in options.items()}

    def layers_of(self, chosen: Layers, order: Layers) -> Layers:
        """The layers that are on in this combination, in this order of all layers."""
        return tuple(layer for layer in order if layer in self.layers or layer in chosen)


def _subsets(names: Layers) -> list[Layers]:
    return [chosen for size in range(len(names) + 1) for chosen in combinations(names, size)]

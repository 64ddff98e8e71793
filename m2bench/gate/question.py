"""What a check asks of the head. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Rate, Unit
from m2bench.text.speed import Speed

from .reasons import Reason
from .references.reference import Recorded, Reference

EPISODES, SPEEDUP = "episodes_per_min", "speedup"
"""Names of floors: of the speed of a system that counts episodes, and of its ratio to the baseline."""


@dataclass(frozen=True)
class Question:
    """What is asked of the head. ``delta``: the share of its speed that it may lose against ``base`` (the code's name)
    or ``reference``; ``floors``: least values of the last combination, by EPISODES, SPEEDUP or the unit of the speed.

    ``in_turns``: the combinations that are timed by turns with the base. ``not_comparable``: why figures of the
    reference say nothing here; ``same_machine`` and ``same_counting``: whether its speeds and its counts do.
    """

    combinations: tuple[Layers, ...]
    delta: float
    alpha: float
    max_blocks: int
    unit: Unit
    rate: Rate = field(default_factory=Rate)
    base: str | None = None
    in_turns: tuple[Layers, ...] = ()
    reference: Reference | None = None
    floors: dict[str, float] = field(default_factory=dict)
    not_comparable: tuple[Reason, ...] = ()
    same_machine: bool = True
    same_counting: bool = True
    repeats_itself: bool = True
    """Whether the trainer does the same with equal seeds; where it does not, learning cannot be compared."""

    @property
    def threshold(self) -> float:
        """The least log ratio that is allowed."""
        return math.log1p(-self.delta)

    @property
    def speed(self) -> Speed:
        """The speed that is judged, as the user counts it."""
        return Speed(self.unit, self.rate)

    def recorded(self, combination: Layers) -> Recorded | None:
        """What the reference holds of the combination."""
        return self.reference.combinations.get(combination_name(combination)) if self.reference is not None else None

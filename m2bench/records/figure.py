"""A figure with its interval, and how trials scatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from .combinations import Layers

Interval = tuple[float, float]


@final
@dataclass(frozen=True)
class Figure:
    """A measured figure and the ends of its 95 % interval; no interval where the run cannot give one."""

    value: float
    interval: Interval | None = None

    def percent(self) -> Figure:
        """The same in percent."""
        return self.scaled(100)

    def scaled(self, factor: float) -> Figure:
        """In another unit: ``factor`` times the value."""
        return Figure(factor * self.value, self.interval and (factor * self.interval[0], factor * self.interval[1]))

    @property
    def shows_gain(self) -> bool:
        """Whether a ratio is shown to be above 1: its interval lies above."""
        return self.interval is not None and self.interval[0] > 1

    @property
    def shows_effect(self) -> bool:
        """Whether a ratio is shown to differ from 1."""
        return self.shows_gain or self.shows_loss

    @property
    def shows_loss(self) -> bool:
        """Whether a ratio is shown to be below 1."""
        return self.interval is not None and self.interval[1] < 1


def value_of(figure: Figure | None) -> float | None:
    """The figure without its interval."""
    return None if figure is None else figure.value


@dataclass(frozen=True)
class ScatterGroup:
    """Trials that scatter alike, by the layers that are on and off in them; ``sd`` is of log episodes/min."""

    on: Layers
    off: Layers
    sd: float
    degrees: float

"""How a speed, or the metric that stands in its place, is written and spoken of.

It is kept in units per minute, or as the value of a metric, or as the inverse of one of which less is better. So more
is always better, and so is a ratio above 1. A level is shown in the unit of the system under test.
"""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.records.description import Rate, SystemDescription, Unit
from m2bench.records.figure import Figure

from .figures import digits, within


@dataclass(frozen=True)
class Words:
    """What is said of combinations that are compared. ``ratio``: over a column of ratios to the baseline."""

    ratio: str
    best: str
    worst: str
    better: str
    worse: str
    trial: str
    verb: str
    infinitive: str


OF_A_SPEED = Words("speedup", "fastest", "slowest", "faster", "slower", "speed trial", "is", "be")
OF_A_METRIC = Words("ratio", "best", "worst", "better", "worse", "trial", "has", "have")
PERIODS = {"min": "minute", "s": "second"}


@dataclass(frozen=True)
class Speed:
    """The speed of a system that counts in ``unit``, of which a level is shown as ``rate`` says."""

    unit: Unit
    rate: Rate

    @classmethod
    def of(cls, system: SystemDescription) -> Speed:
        """That of the system under test."""
        return cls(system.unit, system.rate)

    def value(self, kept: float) -> float:
        """A level in the unit in which it is shown."""
        shown = self.rate.factor * kept
        return 1 / shown if self.rate.lower_is_better else shown

    def level(self, kept: Figure | None) -> Figure | None:
        """A level with its interval, in the unit in which it is shown."""
        if kept is None:
            return None
        ends = [self.value(end) for end in kept.interval or ()]
        return Figure(self.value(kept.value), (min(ends), max(ends)) if ends else None)

    def within(self, kept: Figure | None) -> str:
        """A level with its interval, in a cell of a table."""
        return within(self.level(kept), fine=True)

    def digits(self, kept: float | None) -> str:
        """A level without an interval, in a cell of a table."""
        return digits(None if kept is None else self.value(kept), fine=True)

    def said(self, kept: float | None) -> str:
        """A level in a sentence: ``640 samples/s``, ``12.3 s``, ``loss 0.42``."""
        level = self.digits(kept)
        return f"{self.label} {level}" if self.rate.is_metric else f"{level} {self.label}"

    @property
    def label(self) -> str:
        """The unit of a level, or the name of the metric."""
        return self.rate.label or f"{self.unit.many}/min"

    @property
    def is_time(self) -> bool:
        """Whether a level is the time that a unit takes."""
        return self.rate.lower_is_better and not self.rate.is_metric

    @property
    def heading(self) -> str:
        """Over a column of levels."""
        return f"time {self.label}" if self.is_time else self.label

    @property
    def in_words(self) -> str:
        """What a level is called in a sentence: ``samples per second``, ``time``, or the metric's name."""
        if self.is_time:
            return "time"
        return self.label if self.rate.is_metric else _spelled_out(self.label)

    @property
    def noun(self) -> str:
        """What a better combination has more of: the speed, or the metric as ``compared`` names it."""
        return self.compared if self.rate.is_metric else "speed"

    @property
    def compared(self) -> str:
        """What ratios are of: the unit of a level, or its inverse where less is better."""
        if self.is_time:
            return "speed"
        return f"1/{self.label}" if self.rate.lower_is_better else self.label

    @property
    def words(self) -> Words:
        return OF_A_METRIC if self.rate.is_metric else OF_A_SPEED

    def times(self, ratio: str, other: str = "") -> str:
        """``1.2x as fast as`` the other, or what that is for a metric; shorter where no other is named."""
        if not self.rate.is_metric:
            return f"{ratio} as fast as {other}" if other else f"{ratio} the speed"
        if self.rate.lower_is_better:
            return f"{ratio} lower {self.label}" + (f" than {other}" if other else "")
        return f"{ratio} the {self.label}" + (f" of {other}" if other else "")


def _spelled_out(label: str) -> str:
    """``samples per second`` of ``samples/s``."""
    what, slash, time = label.rpartition("/")
    return f"{what} per {PERIODS.get(time, time)}" if slash else label

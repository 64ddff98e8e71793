"""How much is learned from how many units, by what every update of a trial told: no evaluation, no target.

What an update tells of its own data was not learned from yet, so the mean of all that was told so far says how well the
units up to there were met: the less is learned from each, the later it falls. A trial that needs k times the units for
the same has, after k times as many, the same mean so far; whatever the curve, and whatever the units per update. (The
mean loss on data that comes next is called prequential: Dawid, "Present position and potential developments: some
personal views: statistical theory: the prequential approach", 1984.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EARLY, LATE = (
    0.05,
    0.6,
)  # of the units: what was told until the one and from the other on is where learning began and is


@dataclass(frozen=True)
class Fall:
    """By how much less is told late than early, and the standard error of that."""

    size: float
    error: float


@dataclass(frozen=True)
class MeanSoFar:
    """What updates told, ``values``, and the units when each ended, ``ends``, both of shape (updates,).

    ``sums``: of values times units, up to each end.
    """

    values: NDArray[np.float64]
    ends: NDArray[np.float64]
    sums: NDArray[np.float64]

    @classmethod
    def of(cls, told: Sequence[float | None], units: Sequence[float]) -> MeanSoFar:
        """By what each update told and how many units it processed.

        An update that told nothing is told of by the next one that tells something.
        """
        tells = [number for number, value in enumerate(told[: len(units)]) if value is not None]
        values = np.array([told[number] for number in tells], dtype=float)
        ends = np.cumsum(units)[tells]
        return cls(values, ends, np.cumsum(values * np.diff(ends, prepend=0.0)))

    @property
    def end(self) -> float:
        """The units of the whole trial."""
        return float(self.ends[-1])

    def after(self, units: float) -> float:
        """The mean of what was told until so many units."""
        return self._sum(units) / units

    def between(self, begin: float, end: float) -> float:
        """The mean of what was told of the units from the one number to the other."""
        return (self._sum(end) - self._sum(begin)) / (end - begin)

    def _sum(self, units: float) -> float:
        return float(np.interp(units, np.append(0.0, self.ends), np.append(0.0, self.sums)))

    def fall(self, units: float) -> Fall:
        """What a trial has learned from so many units."""
        early = max(EARLY * units, float(self.ends[0]))
        late = self.values[(self.ends > LATE * units) & (self.ends <= units)]
        size = self.after(early) - (self._sum(units) - self._sum(LATE * units)) / ((1 - LATE) * units)
        if len(late) < 2:
            return Fall(size, math.inf)
        updates = np.count_nonzero(self.ends <= early)
        return Fall(size, float(late.std(ddof=1)) * math.sqrt(1 / updates + 1 / len(late)))

    def units_until(self, level: float, most: float) -> float | None:
        """After how many units, up to ``most``, the falling mean so far reaches this level for good; None: never above.

        Between two ends what is told is constant, so there the mean is (sum + more x told) / (units + more).
        """
        ends = np.append(self.ends[self.ends < most], most)
        means = np.interp(ends, np.append(0.0, self.ends), np.append(0.0, self.sums)) / ends
        above = np.flatnonzero(means > level)
        if not len(above):
            return None
        last = int(above[-1])
        if last == len(ends) - 1:
            return most
        told = self.values[np.searchsorted(self.ends, ends[last], side="right")]
        return float(ends[last] * (means[last] - told) / (level - told))


def units_ratio(without: MeanSoFar, with_it: MeanSoFar, units: float) -> float | None:
    """How many times the units the other one needs to have the same mean so far; None where that is never reached.

    After ``units`` of the one that is behind: the other had the same mean after fewer. Both are to fall.
    """
    level, other = without.after(units), with_it.after(units)
    if level == other:
        return 1.0
    behind = other > level
    ahead = (without if behind else with_it).units_until(max(level, other), units)
    if ahead is None:
        return None
    return units / ahead if behind else ahead / units

"""How much is learned from how many units, by the loss of every update of a trial, without evaluations or a target.

An update reports the loss of data that was not learned from yet. So the mean of all losses so far says how well the
model met the data up to there: the slower it learns, the later that mean falls. A trial that needs k times the units to
learn the same has the same mean after k times as many, whatever the curve and the units per update. (The mean loss on
data that comes next is called prequential: Dawid, "Present position and potential developments: some personal views:
statistical theory: the prequential approach", 1984.) A return counts as a loss with its sign changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EARLY = 0.05  # of the units: up to here is where learning begins
LATE = 0.6  # of the units: from here on is where learning has come to


@dataclass(frozen=True)
class Fall:
    """By how much the late losses are below the early ones, and the standard error of that."""

    size: float
    error: float


@dataclass(frozen=True)
class MeanSoFar:
    """The losses of updates, ``values``, and the units when each ended, ``ends``, both of shape (updates,).

    ``sums``: of values times units, up to each end.
    """

    values: NDArray[np.float64]
    ends: NDArray[np.float64]
    sums: NDArray[np.float64]

    @classmethod
    def of(cls, told: Sequence[float | None], units: Sequence[float]) -> MeanSoFar:
        """From the loss of each update and the units that it processed.

        The units of an update without a loss count with the next one that has one.
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
        """The mean loss over the first ``units``."""
        return self._sum(units) / units

    def between(self, begin: float, end: float) -> float:
        """The mean of what was told of the units from the one number to the other."""
        return (self._sum(end) - self._sum(begin)) / (end - begin)

    def _sum(self, units: float) -> float:
        return float(np.interp(units, np.append(0.0, self.ends), np.append(0.0, self.sums)))

    def fall(self, units: float) -> Fall:
        """How far the loss has fallen within the first ``units``."""
        early = max(EARLY * units, float(self.ends[0]))
        late = self.values[(self.ends > LATE * units) & (self.ends <= units)]
        size = self.after(early) - (self._sum(units) - self._sum(LATE * units)) / ((1 - LATE) * units)
        if len(late) < 2:
            return Fall(size, math.inf)
        updates = np.count_nonzero(self.ends <= early)
        return Fall(size, float(late.std(ddof=1)) * math.sqrt(1 / updates + 1 / len(late)))

    def units_until(self, level: float, most: float) -> float | None:
        """After how many units, up to ``most``, the falling mean reaches this level for good; None if never above it.

        Between two ends the loss is constant, so the mean there is (sum + more x loss) / (units + more).
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
    """How many times the units of ``without`` the other one needs for the same mean; None where that is never reached.

    The mean is that of the one that is behind after ``units``: the other had it after fewer. Both means must fall.
    """
    level, other = without.after(units), with_it.after(units)
    if level == other:
        return 1.0
    behind = other > level
    ahead = (without if behind else with_it).units_until(max(level, other), units)
    if ahead is None:
        return None
    return units / ahead if behind else ahead / units

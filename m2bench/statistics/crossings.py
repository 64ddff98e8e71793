"""Which of two ways is faster at which batch size, and between which sizes the lead changes.

A lead counts where the spreads of both, from the least to the most of their groups, do not overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise


@dataclass(frozen=True)
class Spread:
    """The median of the groups in which passes were timed, in ms per pass, and the least and the most of them."""

    ms: float
    ms_least: float
    ms_most: float


SpreadBySize = Mapping[int, Spread]
"""By batch size."""

FASTER, SLOWER, UNDECIDED = "faster", "slower", "undecided"


@dataclass(frozen=True)
class Comparison:
    """One way against another, at the batch sizes at which both were timed, the smallest first."""

    name: str
    other: str
    cells: SpreadBySize
    other_cells: SpreadBySize

    @property
    def leads(self) -> dict[int, str]:
        """By batch size, whether ``name`` is faster or slower than ``other``, or undecided."""
        return {
            size: _lead(self.cells[size], self.other_cells[size])
            for size in sorted(self.cells)
            if size in self.other_cells
        }

    @property
    def crossings(self) -> list[tuple[int, int]]:
        """The batch sizes on both sides of every change of the lead: the nearest ones at which it is decided."""
        return [(last, first) for (_, _, last), (_, first, _) in pairwise(self._stretches())]

    def point(self, low: int, high: int) -> tuple[float, float]:
        """Where the medians cross between two sizes with different leads, as straight lines on logarithms: size, ms.

        For the chart alone: where the spreads overlap in between, the lines may cross several times, and this is the
        first.
        """
        sizes = [size for size in self.leads if low <= size <= high]
        for left, right in pairwise(sizes):
            behind, ahead = (math.log(self.cells[s].ms / self.other_cells[s].ms) for s in (left, right))
            if behind * ahead <= 0 and behind != ahead:
                share = behind / (behind - ahead)
                return _between(left, right, share), _between(self.cells[left].ms, self.cells[right].ms, share)
        raise AssertionError("medians whose order changes have crossed")

    def sentence(self) -> str:
        """Where each way leads, where the lead changes, and where it is undecided."""
        leads, stretches = self.leads, self._stretches()
        undecided = [f"{size:,}" for size, lead in leads.items() if lead == UNDECIDED]
        if not stretches:
            return (
                f"{self.name} is at no batch size shown to be faster or slower than {self.other}: the spreads overlap."
            )
        if len(stretches) == 1 and not undecided:
            return f"{self.name} is {stretches[0][0]} than {self.other} at every batch size."
        told = _and([f"{lead} at {_sizes(first, last)}" for lead, first, last in stretches])
        changes = _and([f"between {low:,} and {high:,}" for low, high in self.crossings])
        return (
            f"{self.name} against {self.other}, by batch size: {told}"
            + (f"; the lead changes {changes}" if changes else "")
            + (f"; undecided at {_and(undecided)}, where the spreads overlap" if undecided else "")
            + "."
        )

    def _stretches(self) -> list[tuple[str, int, int]]:
        """Each unbroken lead, with the first and the last size that shows it."""
        decided = ((size, lead) for size, lead in self.leads.items() if lead != UNDECIDED)
        return [
            (lead, sizes[0], sizes[-1])
            for lead, group in groupby(decided, key=lambda pair: pair[1])
            for sizes in [[size for size, _ in group]]
        ]


def _lead(cell: Spread, other: Spread) -> str:
    if cell.ms_most < other.ms_least:
        return FASTER
    return SLOWER if cell.ms_least > other.ms_most else UNDECIDED


def _between(left: float, right: float, share: float) -> float:
    """The point at this share of the way from left to right, on logarithms."""
    return math.exp(math.log(left) + share * (math.log(right) - math.log(left)))


def _sizes(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))

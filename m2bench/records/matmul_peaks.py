"""How fast a machine multiplies matrices at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SINGLE = "float32"


@dataclass(frozen=True)
class MatmulPeak:
    """The most operations per second of a product of matrices in this precision, by so many cores of a CPU."""

    precision: str
    cores: int
    flops: float


def peak_of(peaks: Sequence[MatmulPeak], is_half: bool, cores: int) -> MatmulPeak | None:
    """In a format of 16 bits or in float32, by so many cores.

    Where that number was not measured, by the next higher one, so that no share of the peak is told too high; by the
    most that were where there is none.
    """
    found = [peak for peak in peaks if (peak.precision != SINGLE) == is_half]
    return min(found, key=lambda peak: (peak.cores < cores, abs(peak.cores - cores)), default=None)

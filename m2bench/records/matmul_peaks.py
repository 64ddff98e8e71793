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
    """In a format of 16 bits or in float32, by so many cores, or by as near a number as was measured."""
    found = [peak for peak in peaks if (peak.precision != SINGLE) == is_half]
    return min(found, key=lambda peak: abs(peak.cores - cores), default=None)

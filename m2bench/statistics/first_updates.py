"""Do two trials with equal seeds compute the same? By what their first updates told.

From the same weights and data both must tell the same, but for rounding, which grows from update to update.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from statistics import fmean

FIRST_UPDATES = 6  # later ones have had more chances to part by rounding, where there is any

Told = Sequence[float | None]
"""What each update told, from the first on; None for one that told nothing."""


def size(*sides: Told) -> float:
    """How large is what the first updates told: the mean of the absolute values, 0 where they told nothing."""
    values = [abs(value) for side in sides for value in side[:FIRST_UPDATES] if value is not None]
    return fmean(values) if values else 0.0


def first_difference(before: Told, after: Told, allowed: float, updates: int = FIRST_UPDATES) -> int | None:
    """The first update, from 1, of which the sides tell values further apart than allowed; None if there is none."""
    for number, (old, new) in enumerate(islice(zip(before, after, strict=False), updates), 1):
        # Negated, so that it catches what is not a number.
        if old is not None and new is not None and not abs(old - new) <= allowed:
            return number
    return None

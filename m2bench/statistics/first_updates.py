"""Whether two trials with equal seeds compute the same, by the losses or returns of their first updates.

From equal weights and data both must report the same, but for rounding, which grows from update to update.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from statistics import fmean

FIRST_UPDATES = 6  # later ones have had more chances to part by rounding, where there is any

ToldByUpdates = Sequence[float | None]
"""The loss or return of each update, from the first on; None for one that reported none."""


def size(*sides: ToldByUpdates) -> float:
    """The size of what the first updates reported: the mean of the absolute values, 0 without any."""
    values = [abs(value) for side in sides for value in side[:FIRST_UPDATES] if value is not None]
    return fmean(values) if values else 0.0


def first_difference(
    before: ToldByUpdates, after: ToldByUpdates, allowed: float, updates: int = FIRST_UPDATES
) -> int | None:
    """The first update, from 1, whose values lie further apart than allowed; None if there is none."""
    for number, (old, new) in enumerate(islice(zip(before, after, strict=False), updates), 1):
        # Negated, so that it catches what is not a number.
        if old is not None and new is not None and not abs(old - new) <= allowed:
            return number
    return None

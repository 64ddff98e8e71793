"""P values of several tests, adjusted for their number."""

from __future__ import annotations

import numpy as np


def holm(p_values: list[float]) -> list[float]:
    """P values adjusted for their number.

    By the step-down rule of Holm, "A simple sequentially rejective multiple test procedure", 1979: the smallest is
    multiplied by their number, the next by one less and so on, and none becomes smaller than the one before.
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for left, index in zip(range(len(p_values), 0, -1), np.argsort(p_values), strict=True):
        least = max(least, min(1.0, left * p_values[index]))
        adjusted[index] = least
    return adjusted

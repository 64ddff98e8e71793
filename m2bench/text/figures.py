"""How figures are written: digits, units, intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NOTHING = "-"

NOT_KNOWN = "not known"
MOST_APART = 100.0  # times from one end of an interval to the other
WIDEST_POINTS = 200.0  # the same of shares and differences, which may be 0 or less
DIFFERENCES = ("%", " points")  # their units
NOT_KNOWN_NOTE = (
    f"{NOT_KNOWN}: the ends of its 95 % interval lie more than {MOST_APART:.0f} times (of a share, {WIDEST_POINTS:.0f} "
    "points) apart, so the figure says nothing."
)


def times(value: float | None) -> str:
    """A ratio, three digits: 1.04x, 12.3x, 120x."""
    return NOTHING if value is None else f"{digits(value)}x"


def times_within(document: dict[str, Any], name: str) -> str:
    """A ratio with its interval, 16.9x [15.1, 18.9]; without one where the run cannot give it."""
    return times_between(document[name], document[f"{name}_ci"])


def is_known(interval: Sequence[float] | None, unit: str = "x") -> bool:
    """Whether an interval says anything of its figure, which is positive but for a share or a difference.

    Where there is none, the figure is shown as what it is: one without an interval.
    """
    if interval is None:
        return True
    low, high = interval
    return high - low <= WIDEST_POINTS if unit in DIFFERENCES else 0 < high <= MOST_APART * low


def times_between(value: float | None, interval: Sequence[float] | None) -> str:
    """The same from the ratio and the ends of its interval."""
    return within(value, interval, "x")


def digits(value: float | None) -> str:
    """Three significant digits without an exponent, whole numbers from 100 on, two digits below 0.1."""
    return NOTHING if value is None else _rounded(value, _decimals(value))


def within(value: float | None, interval: Sequence[float] | None, unit: str = "") -> str:
    """A figure with its 95 % interval, to the digits that the noise allows: two of the half-width, three at most.

    The end of an interval that leaves out 1, no effect, gets the digits that it takes to see that, and one above 0
    those that it takes to see that. A figure whose interval says nothing is not known.
    """
    if value is None:
        return NOTHING
    if interval is None:
        return digits(value) + unit
    if not is_known(interval, unit):
        return NOT_KNOWN
    low, high = interval
    decimals = _decimals(value)
    if high > low:
        decimals = min(decimals, 1 - math.floor(math.log10((high - low) / 2)))
    seen = [0.0] * (unit not in DIFFERENCES) + [1.0] * (not low <= 1 <= high)
    ends = [_apart_from(seen, end, decimals) for end in (low, high)]
    return f"{_rounded(value, decimals)}{unit} [{', '.join(ends)}]"


MOST_DECIMALS = 4  # what is nearer to 1 than that is no effect that anybody would want to see


def _apart_from(others: Sequence[float], value: float, decimals: int) -> str:
    while round(value, decimals) in others and decimals < MOST_DECIMALS:
        decimals += 1
    return _rounded(value, decimals)


def _decimals(value: float) -> int:
    size = abs(value)
    if size >= 100:
        return 0
    if size >= 0.1 or not size:
        return 1 if size >= 10 else 2
    return 1 - math.floor(math.log10(size))


def _rounded(value: float, decimals: int) -> str:
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def percent(value: float | None) -> str:
    """A share without decimals."""
    return NOTHING if value is None else "0%" if abs(value) < 0.005 else f"{value:.0%}"


def percent_within(document: dict[str, Any], name: str) -> str:
    """A share with its interval, 97.3% [96.9, 97.8]; without one where the run cannot give it."""
    value, interval = document[name], document[f"{name}_ci"]
    if value is None or interval is None:
        return percent(value)
    return within(100 * value, [100 * end for end in interval], "%")

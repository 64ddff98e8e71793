"""How figures are written: digits, units, intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from m2bench.records.figure import Figure

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


def times_within(ratio: Figure | None) -> str:
    """A ratio with its interval, 16.9x [15.1, 18.9]; without one where the run cannot give it."""
    return within(ratio, "x")


def is_known(figure: Figure, unit: str = "x") -> bool:
    """Whether a figure's interval is narrow enough to say anything; a figure without one is known as it is.

    Figures are positive, but for shares and differences.
    """
    if figure.interval is None:
        return True
    low, high = figure.interval
    return high - low <= WIDEST_POINTS if unit in DIFFERENCES else 0 < high <= MOST_APART * low


def digits(value: float | None, fine: bool = False) -> str:
    """Three significant digits without an exponent, whole numbers from 100 on, two digits below 1 unless ``fine``."""
    return NOTHING if value is None else _rounded(value, _decimals(value, fine))


def within(figure: Figure | None, unit: str = "", fine: bool = False) -> str:
    """A figure with its 95 % interval, to the digits that the noise allows: two of the half-width, three at most.

    What would round to 1 (no effect), which the interval leaves out, or to 0 gets as many digits as show that. A figure
    whose interval says nothing is written as not known. ``fine``: as in ``digits``.
    """
    if figure is None:
        return NOTHING
    if not is_known(figure, unit):
        return NOT_KNOWN
    value, interval = value_and_interval(figure, unit, fine)
    return f"{value} [{interval}]" if interval else value


def value_and_interval(figure: Figure, unit: str = "", fine: bool = False) -> tuple[str, str]:
    """A known figure with its unit, and the ends of its interval, empty where there is none."""
    if figure.interval is None:
        return digits(figure.value, fine) + unit, ""
    low, high = figure.interval
    decimals = _decimals(figure.value, fine)
    if high > low:
        decimals = min(decimals, 1 - math.floor(math.log10((high - low) / 2)))
    seen = [0.0] * (unit not in DIFFERENCES) + [1.0] * (not low <= 1 <= high)
    value, *ends = [_apart_from(seen, number, decimals) for number in (figure.value, low, high)]
    return f"{value}{unit}", ", ".join(ends)


MOST_DECIMALS = 4  # what is nearer to 1 than that is no effect that anybody would want to see


def _apart_from(others: Sequence[float], value: float, decimals: int) -> str:
    while round(value, decimals) in others and decimals < MOST_DECIMALS:
        decimals += 1
    return _rounded(value, decimals)


def _decimals(value: float, fine: bool) -> int:
    size = abs(value)
    if size >= 100:
        return 0
    if fine and 0 < size < 1:
        return 2 - math.floor(math.log10(size))
    if size >= 0.1 or not size:
        return 1 if size >= 10 else 2
    return 1 - math.floor(math.log10(size))


def _rounded(value: float, decimals: int) -> str:
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def in_full(value: float) -> str:
    """Four significant digits, and all before the point: 0.001434, 12.35, 105,123."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(value: float | None) -> str:
    """A share without decimals."""
    return NOTHING if value is None else "0%" if abs(value) < 0.005 else f"{value:.0%}"


def percent_within(share: Figure | None) -> str:
    """A share with its interval, 97.3% [96.9, 97.8]; without one where the run cannot give it."""
    if share is None or share.interval is None:
        return percent(share and share.value)
    return within(share.percent(), "%")

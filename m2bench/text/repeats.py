"""What identical trials show, in words."""

from __future__ import annotations

from m2bench.records.figure import Figure, Interval

from .figures import times_within


def aa_in_words(interval: Interval | None) -> str:
    """What the A/A test says, and what it is worth: at 95 % one in 20 sound runs leaves 1x out."""
    if interval is None:
        return "too few for an interval"
    if interval[0] <= 1 <= interval[1]:
        return "which includes 1x, as in 19 of 20 sound runs"
    return "which excludes 1x, as in 1 of 20 sound runs; run again before you trust small effects"


def drift_in_words(drift: Figure, noun: str = "speed") -> str:
    """By how much the speed, or what stands in its place, changed from the first trial to the last."""
    shown = f"the {noun} drifted" if drift.shows_effect else "no drift is shown"
    return f"{shown}: the last trial ran at {times_within(drift)} the {noun} of the first (linear fit)"

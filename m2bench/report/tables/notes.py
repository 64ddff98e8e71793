"""Notes that stand under several tables."""

from __future__ import annotations

from m2bench.text.speed import Speed

OVER_TRIALS = (
    "Brackets: 95 % t intervals over the trials of a combination. A figure without brackets is from one trial, or was "
    "0 in some."
)


def turned_round(speed: Speed) -> list[str]:
    """How ratios are to be read where less is better."""
    is_turned = speed.rate.is_metric and speed.rate.lower_is_better
    return [f"Ratios are of {speed.compared}: above 1.00x, {speed.label} is lower."] if is_turned else []

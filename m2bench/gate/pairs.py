"""How much faster one of two trials is that were timed as a pair. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, pairwise
from statistics import fmean

from m2bench.records.results import TrialResult
from m2bench.statistics.steady import steady_speed

TRIMMED = 0.25  # of the turns at either end: somebody else had the machine for a moment


def log_ratio(over: TrialResult, under: TrialResult) -> float:
    """Log of one trial's episodes per minute over the other's.

    Where both were timed by as many turns it is the trimmed mean of the turns' ratios, each turn against the other
    trial's next to it; else that of the whole windows.
    """
    turns = list(turn_speeds(over)), list(turn_speeds(under))
    if len(turns[0]) == 1 or len(turns[0]) != len(turns[1]):
        return math.log(steady_speed(over) / steady_speed(under))
    ratios = sorted(math.log(a / b) for a, b in zip(*turns, strict=True))
    left_out = int(TRIMMED * len(ratios))
    return fmean(ratios[left_out : len(ratios) - left_out])


def whole_log_ratio(over: TrialResult, under: TrialResult) -> float:
    """The same with nothing trimmed: all episodes over all seconds, with what happens seldom and takes long."""
    speeds = [len(trial.update_s) * trial.episodes_per_update / sum(trial.update_s) for trial in (over, under)]
    return math.log(speeds[0] / speeds[1])


def turn_speeds(result: TrialResult) -> Iterator[float]:
    """Episodes per minute of each turn; one for a trial that was timed at once."""
    ends = accumulate(result.turn_updates or [len(result.update_s)])
    for begin, end in pairwise([0, *ends]):
        yield 60 * (end - begin) * result.episodes_per_update / sum(result.update_s[begin:end])

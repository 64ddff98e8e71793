"""Two trials that were timed as a pair: how much faster one is, and in which phase the time changed. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean, median

from m2bench.records.combinations import Layers
from m2bench.records.description import Unit
from m2bench.records.results import TrialResult
from m2bench.statistics.steady import steady_speed

TRIMMED = 0.25  # of the turns at either end: somebody else had the machine for a moment

Block = dict[tuple[str, Layers], TrialResult]
"""What the trials of one block measured, by side and combination."""
Phases = Mapping[str, float]
"""Milliseconds per episode in each phase."""


def log_ratio(over: TrialResult, under: TrialResult) -> float:
    """Log of one trial's episodes per minute over the other's.

    Where both were timed by as many turns it is the trimmed mean of the turns' ratios, each turn against the other
    trial's next to it; else that of the whole windows.
    """
    turns = list(_turn_speeds(over)), list(_turn_speeds(under))
    if len(turns[0]) == 1 or len(turns[0]) != len(turns[1]):
        return math.log(steady_speed(over) / steady_speed(under))
    ratios = sorted(math.log(a / b) for a, b in zip(*turns, strict=True))
    left_out = int(TRIMMED * len(ratios))
    return fmean(ratios[left_out : len(ratios) - left_out])


def whole_log_ratio(over: TrialResult, under: TrialResult) -> float:
    """Log of the ratio of whole windows, all episodes over all seconds: what is rare and slow counts too."""
    speeds = [sum(trial.window_units) / sum(trial.update_s) for trial in (over, under)]
    return math.log(speeds[0] / speeds[1])


def _turn_speeds(trial: TrialResult) -> Iterator[float]:
    """Episodes per minute of each turn; one for a trial that was timed at once."""
    ends = accumulate(trial.turn_updates or [len(trial.update_s)])
    for begin, end in pairwise([0, *ends]):
        yield 60 * sum(trial.window_units[begin:end]) / sum(trial.update_s[begin:end])


@dataclass(frozen=True)
class PhaseChange:
    """Milliseconds per episode in one phase, before and after."""

    name: str
    before_ms: float
    after_ms: float

    def sentence(self, unit: Unit) -> str:
        """The change in words."""
        return (
            f"the phase {self.name} takes {self.after_ms - self.before_ms:+.3g} ms per {unit.one} "
            f"({self.before_ms:.3g} -> {self.after_ms:.3g})"
        )


def median_phases(trials: Sequence[TrialResult]) -> Phases:
    """Milliseconds per episode in each phase that all of these trials know."""
    found = [trial.phase_ms_per_episode for trial in trials if trial.phase_ms_per_episode]
    names = [name for name in found[0] if all(name in phases for phases in found)] if found else []
    return {name: median(phases[name] for phases in found) for name in names}


def grown_most(pairs: Sequence[tuple[Phases, Phases]]) -> PhaseChange | None:
    """The phase that takes the most additional time; None where none takes more, or one side reports no phases.

    ``pairs``: phases before and after. The change is the median of the pairs' own, since what the machine did at the
    time it did to both. A phase that one side does not know takes no time there.
    """
    told = [(before, after) for before, after in pairs if before and after]
    names = {name: None for before, after in told for name in (*before, *after)}
    changes = [_change(name, told) for name in names]
    most = max(changes, key=lambda change: change.after_ms - change.before_ms, default=None)
    return most if most is not None and most.after_ms > most.before_ms else None


def _change(name: str, pairs: Sequence[tuple[Phases, Phases]]) -> PhaseChange:
    before_ms = median(before.get(name, 0.0) for before, _ in pairs)
    grown_ms = median(after.get(name, 0.0) - before.get(name, 0.0) for before, after in pairs)
    return PhaseChange(name, before_ms, before_ms + grown_ms)

"""In which phase of an episode a slower side spends its time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from m2bench.records.results import TrialResult


@dataclass(frozen=True)
class PhaseChange:
    """Milliseconds per episode in one phase, before and after."""

    name: str
    before_ms: float
    after_ms: float

    @property
    def sentence(self) -> str:
        return (
            f"the phase {self.name} takes {self.after_ms - self.before_ms:+.3g} ms per episode "
            f"({self.before_ms:.3g} -> {self.after_ms:.3g})"
        )


def median_phases(results: Sequence[TrialResult]) -> dict[str, float]:
    """Milliseconds per episode in each phase that all of these trials know."""
    found = [result.phase_ms_per_episode for result in results if result.phase_ms_per_episode]
    names = [name for name in found[0] if all(name in phases for phases in found)] if found else []
    return {name: median(phases[name] for phases in found) for name in names}


def grown_most(pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> PhaseChange | None:
    """The phase that takes the most additional time; None where none takes more, or one side tells of no phases.

    ``pairs``: phases before and after. The change is the median of the pairs' own, since what the machine did at the
    time it did to both. A phase that one side does not know takes no time there.
    """
    told = [(before, after) for before, after in pairs if before and after]
    names = {name: None for before, after in told for name in (*before, *after)}
    changes = [_change(name, told) for name in names]
    most = max(changes, key=lambda change: change.after_ms - change.before_ms, default=None)
    return most if most is not None and most.after_ms > most.before_ms else None


def _change(name: str, pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> PhaseChange:
    before_ms = median(before.get(name, 0.0) for before, _ in pairs)
    grown_ms = median(after.get(name, 0.0) - before.get(name, 0.0) for before, after in pairs)
    return PhaseChange(name, before_ms, before_ms + grown_ms)

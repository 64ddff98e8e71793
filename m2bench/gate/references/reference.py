"""What a reference holds: what one run measured, and every level it has had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import fmean

from m2bench.gate.counts import CountsByName, LinesByCount, counted_lines, repeated_counts
from m2bench.gate.pairs import Block, Phases, median_phases
from m2bench.records.combinations import BASELINE, Layers, combination_name, layers_of
from m2bench.records.description import Facts, Rate, Unit
from m2bench.records.earlier import UNIT as EARLIER_UNIT
from m2bench.statistics.steady import steady_speed
from m2bench.text.speed import Speed

DIGITS = 5  # of a figure that are stored; its noise is in the second or third

Level = dict[str, float]
"""Geometric means over a run's blocks: ``episodes_per_min``, ``speedup`` (not of the baseline) and ``canary_s``."""


@dataclass(frozen=True)
class Recorded:
    """One combination of a run, by block: ``speedup`` over the baseline of the same block (empty for the baseline
    itself), ``canary_s`` the seconds of a fixed computation beside the trial. Counts and phases (ms) are per episode.
    """

    episodes_per_min: list[float]
    speedup: list[float]
    canary_s: list[float]
    counts: CountsByName
    lines: LinesByCount
    phase_ms: Phases
    gates: list[str]
    """Names of the numerics checks that all trials went through."""


@dataclass(frozen=True)
class HistoryEntry:
    """A level from ``date`` on. ``kind``: saved, promoted or annotated; ``reason``: of an annotated one."""

    date: str
    kind: str
    commit: str
    reason: str | None
    machine: Facts
    levels: dict[str, Level]
    """By the combination's name."""


@dataclass(frozen=True)
class Reference:
    """What a run measured, on which machine, of which commit, ``counted_by`` which m2bench; ``created``: when it was
    measured; ``history``: every level it has had, oldest first. ``shown_as``: how the trainer counts its speed; None
    of an earlier version, which did not store it.
    """

    name: str
    created: str
    commit: str
    counted_by: str
    machine: Facts
    workload: Facts
    combinations: dict[str, Recorded]
    history: list[HistoryEntry] = field(default_factory=list)
    shown_as: Speed | None = None

    @property
    def speed(self) -> Speed:
        """How its levels are shown; where it is not told, as those of the trading system."""
        return self.shown_as or Speed(Unit(**EARLIER_UNIT), Rate())

    def counts_otherwise(self, speed: Speed | None) -> list[str]:
        """What differs where a speed is known to be counted in another unit, in words; else nothing."""
        own = self.shown_as
        return [] if own is None or speed is None or own == speed else [f"unit: {own.label} and {speed.label}"]

    @property
    def threads(self) -> int | None:
        """How many torch used."""
        threads = self.machine.get("torch_threads")
        return threads if isinstance(threads, int) else None

    @property
    def layers(self) -> tuple[Layers, ...]:
        """Its combinations, the baseline first."""
        return tuple(layers_of(name) for name in self.combinations)

    def levels(self) -> dict[str, Level]:
        """By the combination's name."""
        return {name: level_of(recorded) for name, recorded in self.combinations.items()}


def record(blocks: Sequence[Block], combinations: Sequence[Layers]) -> dict[str, Recorded]:
    """What the head's trials of these blocks measured, by the combination's name."""
    return {combination_name(c): _record(blocks, c) for c in combinations}


def level_of(recorded: Recorded) -> Level:
    """The level of what was measured of a combination."""
    measured = {name: getattr(recorded, name) for name in ("episodes_per_min", "speedup", "canary_s")}
    return {name: _mean(values) for name, values in measured.items() if values}


def _record(blocks: Sequence[Block], combination: Layers) -> Recorded:
    trials = [block["head", combination] for block in blocks]
    speeds = [steady_speed(trial) for trial in trials]
    plain = [steady_speed(block["head", BASELINE]) for block in blocks if ("head", BASELINE) in block]
    is_over = combination != BASELINE and len(plain) == len(speeds)
    return Recorded(
        episodes_per_min=[_rounded(speed) for speed in speeds],
        speedup=[_rounded(speed / other) for speed, other in zip(speeds, plain, strict=True)] if is_over else [],
        canary_s=[_rounded(min(trial.canary_s)) for trial in trials],
        counts=repeated_counts(trials),
        lines=counted_lines(trials),
        phase_ms={name: _rounded(value) for name, value in median_phases(trials).items()},
        gates=sorted(set.intersection(*(set(trial.numerics) for trial in trials))),
    )


def with_level(old: Reference | None, new: Reference, kind: str, reason: str | None = None) -> Reference:
    """``new`` with the history of ``old``, and its own level at the end of it."""
    entry = HistoryEntry(new.created, kind, new.commit, reason, new.machine, new.levels())
    return replace(new, history=[*(old.history if old is not None else []), entry])


def shifted(old: Reference, new: Reference) -> Reference:
    """``new`` with the spread of ``old``: an intended change resets the level, and says nothing of the noise."""
    combinations = dict(new.combinations)
    for name, recorded in new.combinations.items():
        before = old.combinations.get(name)
        if before is None or bool(before.speedup) != bool(recorded.speedup):
            continue  # it had no such spread
        combinations[name] = replace(
            recorded,
            episodes_per_min=_at_level(before.episodes_per_min, recorded.episodes_per_min),
            speedup=_at_level(before.speedup, recorded.speedup),
            canary_s=_at_level(before.canary_s, recorded.canary_s),
        )
    return replace(new, combinations=combinations)


def _at_level(spread: list[float], level: list[float]) -> list[float]:
    if not level:
        return level
    factor = _mean(level) / _mean(spread)
    return [_rounded(value * factor) for value in spread]


def now() -> str:
    """The present moment, ISO, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _mean(values: Sequence[float]) -> float:
    return _rounded(math.exp(fmean(math.log(value) for value in values)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")

"""What a run of ``scale`` found: the types that are written as its ``summary.json``.

As in ablation_summary.py: a figure that was not measured is None, ratios are multiplicative, shares are fractions of 1,
intervals are 95 %. ``episodes_per_min`` are units per minute, whatever the system counts in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from m2bench.records.combinations import Layers
from m2bench.records.description import PlaceLimits
from m2bench.records.figure import Figure
from m2bench.records.scale_spec import Place, Setting, Value

from .noise import Repeats
from .subject import RunSummary

Limit = Literal["dispatch", "arithmetic", "memory"]


@dataclass(frozen=True)
class Limits:
    """Shares of a unit's time that a place needs at least: to hand over operators, for matrix products, for bytes.

    ``limit``: the largest of them; None where even that is too small to say so.
    """

    dispatch: float
    arithmetic: float
    memory: float
    limit: Limit | None


@dataclass(frozen=True)
class ScalePoint:
    """One size on a line. ``layers``: those that were on; ``reason``: why there are no figures.

    ``over_baseline``: its speed over the run's baseline.
    """

    size: float
    layers: Layers
    status: str | None
    reason: str | None
    trials: int
    episodes_per_min: Figure | None
    over_baseline: Figure | None
    peak_memory_mb: Figure | None
    limits: Limits | None
    episodes_to_target: Figure | None = None
    time_to_target_s: Figure | None = None


@dataclass(frozen=True)
class ScaleLine:
    """A combination at one place; ``fixed``: the values of the settings that are no axis."""

    layers: Layers
    place: Place
    fixed: Mapping[str, Value]
    points: tuple[ScalePoint, ...]


@dataclass(frozen=True)
class CrossingRow:
    """Where line ``overtaking`` comes to lead over line ``other`` (numbers among the lines), as sizes grow."""

    overtaking: int
    other: int
    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """Of lines of one combination at one size: the fastest, and those that are not shown to be slower.

    ``line``: None where nothing was measured. By their numbers among the lines.
    """

    layers: Layers
    size: float
    line: int | None
    rivals: tuple[int, ...]

    @property
    def is_shown(self) -> bool:
        """Whether the fastest is shown to be so."""
        return self.line is not None and not self.rivals


@dataclass(frozen=True)
class FastestPoint:
    """The fastest point of the set: its line and size, and other such points that are not shown to be slower."""

    line: int
    size: float
    rivals: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ScaleSummary(RunSummary):
    """What a run of ``scale`` found, finished or not. ``axis``: the setting by which speed is shown."""

    axis: Setting | None
    places: tuple[PlaceLimits, ...]
    repeats: Repeats
    repeated_trials: int
    """Run once more because of other load; both attempts are stored."""
    warnings: tuple[str, ...]
    lines: tuple[ScaleLine, ...]
    choices: tuple[Choice, ...]
    """None where there is one place alone."""
    crossings: tuple[CrossingRow, ...]
    fastest: FastestPoint | None

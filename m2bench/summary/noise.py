"""How noisy a run is, by its identical trials, its machine and its clock: a part of ablation_summary.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from m2bench.records.documents import FLAT, interval_called
from m2bench.records.figure import Figure, ScatterGroup
from m2bench.records.results import RunConditions


@dataclass(frozen=True)
class Repeats:
    """What identical trials of the baseline say of the machine; as ratios, which ought to be 1."""

    aa_ratio: Figure | None = field(default=None, metadata=interval_called("aa_ci"))
    """One half of the baseline trials over the other half."""
    aa_pairs: int = 0
    aa_typical: float | None = None
    """The slower over the faster of two neighbouring trials, inverted: the median."""
    aa_worst: float | None = None
    drift: Figure | None = None
    """The last baseline trial over the first, by a line through all."""


@dataclass(frozen=True)
class Anchor:
    """One baseline trial that is ok; ``trial`` is its number among the run's speed trials."""

    key: str
    trial: int
    episodes_per_min: float


@dataclass(frozen=True)
class Timing:
    """How well the timed windows are timed."""

    window_error: float | None
    """Relative standard error of a window's mean, the median over trials."""
    window_error_worst: float | None
    timer_share_worst: float | None
    """Of an update."""


@dataclass(frozen=True)
class Noise:
    """How noisy the run is, and what that hides."""

    repeats: Repeats = field(metadata=FLAT)
    anchors: tuple[Anchor, ...]
    conditions: RunConditions
    timing: Timing = field(metadata=FLAT)
    trial_sd: float | None
    """Standard deviation of one trial, as a share of its speed."""
    scatter_groups: tuple[ScatterGroup, ...]
    min_detectable: float | None
    """The smallest main effect, as a ratio above 1, that such a run finds in 80 % of cases."""
    outliers: tuple[str, ...]
    """Keys of trials."""
    lack_of_fit_p: float | None
    """Of the test that interactions of three and more layers are nothing."""

"""What an ablation found: the types that are written as ``summary.json`` (docs/summary.schema.json).

A figure that was not measured is None, never invented. Ratios are multiplicative: 1 is no effect. Times are in the unit
that the name says, shares are fractions of 1, intervals are 95 %. Unless it says otherwise, a figure of a combination
is typical of its trials (geometric mean), and one of a layer is a ratio of episodes/min. Its parts lie in noise.py,
rows.py and subject.py.

``episodes_per_min`` are units per minute, whatever the system counts in. Of a command's own metric (``is_metric`` of
the system's ``rate``) it is the value, or the inverse of one of which less is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from m2bench.records.combinations import Layers
from m2bench.records.description import SystemDescription, Target
from m2bench.records.documents import called, interval_called
from m2bench.records.figure import Figure, Interval
from m2bench.records.matmul_peaks import MatmulPeak
from m2bench.records.rules import Rules
from m2bench.records.spec import TrialKind

from .noise import Noise
from .rows import CombinationRow, LayerRow
from .subject import MeasuredOn, Trained

LeftOutState = Literal[
    "costs", "negligible", "undecided", "unknown", "helps", "spoils", "changed", "failed", "not-engaged", "unsupported"
]


@dataclass(frozen=True)
class Gains:
    """The layers that are shown to gain, the largest first, and the fewest that make most of the gain."""

    layers: Layers
    makers: Layers
    share: Figure


@dataclass(frozen=True)
class Interaction:
    """The ratio of one layer with the other on, over the same with the other off."""

    pair: tuple[str, str]
    effect: Figure = field(metadata=interval_called("ci"))
    p_holm: float | None


# The recommendation.


@dataclass(frozen=True)
class SwitchedLayer:
    """The speed with one layer of the set switched off, over that of the set."""

    layer: str
    ratio: Figure | None


@dataclass(frozen=True)
class LeftOut:
    """The speed with one layer more, over that of the set, and whether that layer would be of use.

    ``state``: ``helps``: shown to, but with it another layer of the set is not shown to help; from ``spoils`` on, why
    the layer cannot join the set, however fast it is.
    """

    layer: str
    ratio: Figure | None
    state: LeftOutState
    by_time: bool
    """Whether ``state`` is by the time to the learning target, since the set learns otherwise with the layer."""


@dataclass(frozen=True)
class Rival:
    """A set that is not shown to be worse than the recommended one: how good it is over that one."""

    layers: Layers
    ratio: Figure
    log_se: float | None
    degrees: float | None


@dataclass(frozen=True)
class ByTime:
    """The set that learns soonest, over the one that is chosen by speed."""

    layers: Layers
    shown: bool
    sooner: Figure | None


@final
@dataclass(frozen=True)
class Fastest:
    """The fastest combination where it is not the recommended one, over that one, and why it is not recommended."""

    layers: Layers
    ratio: Figure | None
    but: str


@final
@dataclass(frozen=True)
class Recommendation:
    """The set of layers to switch on.

    ``settled``: no other set can be faster by what matters; else ``more_blocks`` would tell, None where no practical
    number would or the design leaves out what would tell. ``undecided``: layers of which it is not known whether they
    would help.
    """

    layers: Layers
    basis: Literal["speed", "time to target"]
    speedup: Figure | None
    episodes_per_min: Figure | None
    settled: bool
    more_blocks: int | None
    kept: tuple[SwitchedLayer, ...]
    left_out: tuple[LeftOut, ...]
    undecided: Layers
    rivals: tuple[Rival, ...]
    by_speed: Layers
    by_time: ByTime | None
    fastest: Fastest | None
    excluded: str | None


# Learning.


@dataclass(frozen=True)
class LearningGroup:
    """Combinations that learn alike, by the learning trials of one of them.

    ``apart``: the layers that set them apart from others with as many episodes per update. ``curve``: the mean return
    after so many episodes. ``not_within``: how many episodes were not enough for a trial that did not arrive.
    """

    episodes_per_update: float
    apart: Layers
    layers: Layers
    trials: int
    reached: int
    episodes_to_target: Figure | None
    episodes_to_target_range: Interval | None
    not_within: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ToldCurve:
    """What the updates of a combination's speed trials told, as a mean over trials.

    ``curve``: after so many units, the mean loss or return of the units since the point before.
    """

    layers: Layers
    trials: int
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LearningSummary:
    """How learning was measured.

    ``told``: the loss or return that the updates of the speed trials told, where it was measured by that;
    ``told_curves``: of the combinations that were compared by it.
    """

    mode: str
    target: Target | None
    margin: float
    episodes_margin: float
    evaluations_averaged: int
    trials: int
    rounds: int
    failed: tuple[str, ...]
    elapsed_s: float
    share_of_run: float
    cells: tuple[LearningGroup, ...]
    told: str | None = None
    told_curves: tuple[ToldCurve, ...] = ()


# The whole.


@dataclass(frozen=True)
class ChecksCost:
    """Seconds that the comparison with the plain trainer took, over all trials."""

    prepare_s: float
    trials_s: float


@dataclass(frozen=True)
class Summary:
    """What a run found, finished or not."""

    schema: int
    run: str
    started: str
    trials_done: int
    trials_planned: int
    unfinished: TrialKind | None
    """The kind of the trial that would be run next."""
    system: SystemDescription
    device: str
    device_faults: tuple[str, ...]
    machine: MeasuredOn
    peak_flops: float
    peaks: tuple[MatmulPeak, ...]
    bytes_per_s: float | None
    claimed_together: Mapping[str, Sequence[str]]
    workload: Trained
    noise: Noise
    combinations: tuple[CombinationRow, ...]
    layers: tuple[LayerRow, ...]
    gains: Gains | None
    interactions: tuple[Interaction, ...] | None
    total_speedup: Figure | None
    """All of ``total_layers`` over the baseline."""
    total_layers: Layers
    main_effects_mixed: bool
    """Whether main effects mix with interactions, which the design is too small to tell apart."""
    best: CombinationRow | None
    soonest: CombinationRow | None
    """The combination that reaches the learning target first."""
    soonest_gain: Figure | None
    """How many times sooner than the baseline."""
    recommended: Recommendation | None
    learning: LearningSummary
    checks: ChecksCost = field(metadata=called("gates"))

    @property
    def rules(self) -> Rules:
        """Which layers of the run need or exclude each other."""
        return self.workload.spec.rules

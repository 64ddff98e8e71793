"""What workers report to the commands that look at one thing closely: train, forward, audit and profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .combinations import Layers
from .documents import LEFT_OUT, called
from .results import Counts, Proof


@dataclass(frozen=True)
class Written:
    """A file that can be done without: its path, and why it is not there, or None where it is."""

    path: str
    lost_because: str | None = None

    def __str__(self) -> str:
        return self.path if self.lost_because is None else f"not written: {self.lost_because}"


@dataclass(frozen=True)
class TrainingPoint:
    """One evaluation: after so many units, and seconds of training without the evaluations.

    ``training_return``: the mean since the last point. None where the system reports no return.
    """

    episodes: float
    train_s: float
    training_return: float | None
    eval_return: float | None


@dataclass(frozen=True)
class Training:
    """A worker's report on the training."""

    layers: Layers
    seed: int
    curve: tuple[TrainingPoint, ...]
    proofs: Mapping[str, Proof]
    checkpoint: str


@dataclass(frozen=True)
class Evaluated:
    """A worker's evaluation of a checkpoint: what ``System.evaluate`` tells of a trained system."""

    eval_return: float


@dataclass(frozen=True, kw_only=True)
class PassTime:
    """ms of one forward pass at a batch size, or the ``reason`` why there is none.

    ``ms``: the median of the groups that were timed, of so many ``passes`` in all; ``ms_least``, ``ms_most``: the least
    and the most of the groups.
    """

    batch: int
    precision: str
    compiled: bool
    reason: str | None = field(default=None, metadata=LEFT_OUT)
    ms: float | None = field(default=None, metadata=LEFT_OUT)
    ms_least: float | None = field(default=None, metadata=LEFT_OUT)
    ms_most: float | None = field(default=None, metadata=LEFT_OUT)
    passes: int | None = field(default=None, metadata=LEFT_OUT)

    @property
    def variant(self) -> str:
        """What is timed: "float32, eager"."""
        return f"{self.precision}, {'compiled' if self.compiled else 'eager'}"


@dataclass(frozen=True)
class TimedPasses:
    """A worker's report on one device."""

    timed: tuple[PassTime, ...]


@dataclass(frozen=True)
class AuditedOperator:
    """An operator, what it would run by (a key of WORDS), in how many combinations, and where if that is noted.

    ``missing``: the device has neither a kernel nor a way around.
    """

    operator: str
    support: str
    expected_to_fail: bool
    missing: bool
    combinations: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class AuditedCombination:
    """A combination, and what it asks of the device in training."""

    layers: Layers
    operators: int
    dispatches_per_episode: float
    syncs_per_episode: float
    copies_per_episode: float


@dataclass(frozen=True)
class AuditedLine:
    """Where a source line is first run (in training, the evaluation or the checks), and in which combinations."""

    where: str = field(metadata=called("in"))
    combinations: tuple[str, ...]


@dataclass(frozen=True)
class AuditFindings:
    """What the audit found. ``lines``: by kind (syncs, copies, doubles) and source line; ``torch``: whose tables."""

    target: str
    decisions_per_episode: int
    operators: tuple[AuditedOperator, ...]
    combinations: tuple[AuditedCombination, ...]
    lines: Mapping[str, Mapping[str, AuditedLine]]
    blockers: tuple[str, ...]
    caveats: tuple[str, ...]
    torch: str = ""


@dataclass(frozen=True)
class Updated:
    """What a worker reports after some updates: how many episodes these had."""

    episodes: float


Spent = tuple[float, float]
"""How often, and milliseconds, per unit."""
PhaseSpan = tuple[str, float, float]
"""Phase, begin and length, in ms."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What one process saw of a combination; times are per unit.

    ``undisturbed_ms``: with nothing watched. ``phases_ms``: in each phase, by the clock; empty for a system that tells
    of none. ``told_per_update``: how many units updates say that they have, on average; None where they do not say.
    """

    layers: Layers
    compiles: bool
    proofs: Mapping[str, Proof]
    undisturbed_ms: float
    phases_ms: Mapping[str, float]
    episodes_per_update: int
    counts: Counts
    evaluation_s: float
    told_per_update: float | None = None


@dataclass(frozen=True, kw_only=True)
class Pictured(Looks):
    """What the first process of a side sees as well: the timeline of one update, and one pass under torch.profiler.

    ``kernel_busy_ms``, ``launch_gap_ms``: in which the device worked, and waited for the next launch; None where no
    kernel is recorded. ``peak_memory_mb``: the most that was allocated in each phase. ``profiler_overhead``: how much
    longer torch.profiler makes a unit, as a share.
    """

    timeline: tuple[PhaseSpan, ...]
    operators: Mapping[str, Spent]
    kernels: Mapping[str, Spent]
    kernel_busy_ms: float | None
    launch_gap_ms: float | None
    no_kernels_because: str | None
    peak_memory_mb: Mapping[str, float]
    memory_is_sampled: bool
    files: Mapping[str, Written]
    profiler_overhead: float

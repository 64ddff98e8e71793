"""What trials measure, and under which conditions. Times are in seconds unless the name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from .documents import LEFT_OUT, called

Evidence = Mapping[str, Any]
"""Free-form JSON: what was looked at, as each layer or check tells it."""


@dataclass(frozen=True)
class Proof:
    """Whether a layer was at work, by what evidence, and if not, why not."""

    engaged: bool
    evidence: Evidence = field(default_factory=dict)
    reason: str | None = None


def idle_layers(proofs: Mapping[str, Proof]) -> list[str]:
    """The layers that were not at work, each with the reason."""
    return [f"{layer}: {proof.reason}" for layer, proof in proofs.items() if not proof.engaged]


@dataclass(frozen=True)
class NumericsCheck:
    """Whether a combination computes what the plain trainer does, by what evidence, and if not, what differs.

    ``same``: None where that cannot be told, with the reason.
    """

    same: bool | None
    evidence: Evidence = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class PeakMemory:
    """Peak memory in MB: of the device's allocator, and of the process on the host; None where it does not tell."""

    device: float | None
    host: float | None

    @property
    def main_mb(self) -> float | None:
        """That of the device where it tells, else that of the host."""
        return self.host if self.device is None else self.device


@dataclass(frozen=True)
class Counts:
    """What an episode asks of the device, by kind, and the source lines that this comes from, by kind and line."""

    per_episode: Mapping[str, float]
    lines: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Calls:
    """How many calls of one operator there were, and ``given``, a digest of what they were given."""

    calls: int
    given: str


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What one update asked of torch and of others: with equal seeds, equal work has an equal one.

    ``update``: its number, from 1. ``operators``: by name and types of tensors, those of the backward pass among them.
    ``compiled``: calls of compiled graphs. ``optimizers``: steps, by class. ``loaders``: batches, by the class that
    gave them. ``helpers``: processes and threads of the trainer's own. ``modes``: what was entered or replayed.
    ``settings``: torch's own, as texts. ``weights``: a digest of what the optimizers have trained so far, None where
    that cannot be seen.
    """

    update: int
    operators: Mapping[str, Calls] = field(default_factory=dict)
    compiled: Mapping[str, int] = field(default_factory=dict)
    optimizers: Mapping[str, int] = field(default_factory=dict)
    loaders: Mapping[str, int] = field(default_factory=dict)
    helpers: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a timed trial measures.

    ``canary_s``: readings of a fixed computation beside the trial. ``update_s``: of every update in the timed window;
    ``turn_updates``: how many of them each turn had, none where earlier versions did not tell. ``window_error``:
    relative standard error of the mean of ``update_s``, None for a single update; ``timer_share``: of the window, what
    timing took. ``setup_s``: until the first update begins, or ends where it sets up. ``compile_s``: None where
    nothing compiles, or nobody can tell. ``numerics``: the outcome of each check, ``numerics_s``
    what they took. ``training_return``: of every update from the first on; ``eval_return``: of what training never
    sees. ``update_units``: how many units every update from the first on processed, empty where each one processed
    ``episodes_per_update``. ``losses``: of every update from the first on, None for one that told none. ``metrics``: by
    name, all that the system tells in its own units, the one that is ranked first. ``fingerprint``: of an early update,
    of a system that does not prove that its layers are at work. ``sources``: the user's files that it has imported,
    with a digest of each. ``processes``: how many computed at once, by a thread each where there is more than one.
    Empty and None for what the system does not tell.
    """

    setup_s: float | None
    canary_s: tuple[float, ...]
    warmup_update_s: tuple[float, ...]
    update_s: tuple[float, ...]
    turn_updates: tuple[int, ...] = ()
    episodes_per_update: int
    episodes_per_min: float
    window_error: float | None
    timer_share: float
    energy_j_per_episode: float | None
    env_steps_per_s: float | None
    compile_s: float | None
    peak_memory_mb: PeakMemory
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    numerics: Mapping[str, NumericsCheck] = field(default_factory=dict, metadata=called("gates"))
    numerics_s: float = field(metadata=called("gates_s"))
    phase_ms_per_episode: Mapping[str, float] = field(default_factory=dict)
    counts: Counts | None = None
    processes: int = field(default=1, metadata=LEFT_OUT)
    training_return: tuple[float | None, ...] = ()
    eval_return: float | None
    update_units: tuple[float, ...] = ()
    losses: tuple[float | None, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    fingerprint: Fingerprint | None = field(default=None, metadata=LEFT_OUT)
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def same_numerics(self) -> bool:
        """Whether no check found that something else is computed."""
        return all(check.same is not False for check in self.numerics.values())

    @property
    def window_units(self) -> tuple[float, ...]:
        """How many units each update of the timed window processed."""
        updates = len(self.update_s)
        return self.update_units[-updates:] if self.update_units else (self.episodes_per_update,) * updates

    @property
    def units_per_update(self) -> float:
        """How many units an update processes: the median."""
        return median(self.update_units) if self.update_units else self.episodes_per_update

    @property
    def has_varying_units(self) -> bool:
        """Whether the units of an update vary, and not only where an epoch ends with fewer."""
        usual = self.units_per_update
        return sum(units != usual for units in self.update_units) > len(self.update_units) / 4


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation: ``after`` so many episodes, of which whole updates had learned from ``episodes``.

    ``train_s``: of training without the evaluations. ``mean_return``: of the policy, which holds until its next update;
    or the mean of what updates told since the point before, be it a return or a loss.
    """

    after: float
    episodes: float
    train_s: float
    mean_return: float = field(metadata=called("return"))


@dataclass(frozen=True, kw_only=True)
class LearningResult:
    """What a learning trial measures: its curve, and after how many episodes it reached the target, None for never."""

    curve: tuple[CurvePoint, ...]
    episodes_per_update: float
    episodes_to_target: float | None
    proofs: Mapping[str, Proof]


Moment = Literal["begin", "end"]


@dataclass(frozen=True)
class WindowMoment:
    """That the timed window of the process ``pid`` begins, or ends."""

    window: Moment
    pid: int


FailureKind = Literal["not finite", "out of memory", "error", "died", "timeout"]


@dataclass(frozen=True)
class Failure:
    """Why a worker has no result: loss or gradient were no finite numbers, there was no memory, another error, its
    death, or the timeout.
    """

    kind: FailureKind
    text: str


@dataclass(frozen=True, kw_only=True)
class TelemetryMeans:
    """Means over a timed window; None for what could not be read, with the reason in ``not_available``.

    Shares are of all cores, or of the device. Earlier versions told ``cpu_share``, of all processes of the machine, in
    place of ``own_cpu_share``, of the trial's own.
    """

    memory_used_mb: float | None = field(default=None, metadata=LEFT_OUT)
    temperature_c: float | None = field(default=None, metadata=LEFT_OUT)
    own_cpu_share: float | None = field(default=None, metadata=LEFT_OUT)
    cpu_share: float | None = field(default=None, metadata=LEFT_OUT)
    device_share: float | None = field(default=None, metadata=LEFT_OUT)
    device_share_of_everybody: float | None = field(default=None, metadata=LEFT_OUT)
    device_memory_used_mb: float | None = field(default=None, metadata=LEFT_OUT)
    power_w: float | None = field(default=None, metadata=LEFT_OUT)
    device_temperature_c: float | None = field(default=None, metadata=LEFT_OUT)
    not_available: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conditions:
    """What the machine did besides a trial.

    ``other_cores``: how many cores other processes kept busy on average, None where that is not known; ``cores``: how
    many there are. ``power``: "mains" or "battery". ``thermal``: the pressure. None: the machine does not tell.
    ``machine``: its name in a run on several machines.
    """

    other_cores: float | None
    cores: int = 1
    power: str | None = None
    low_power: bool | None = None
    thermal: str | None = None
    telemetry: TelemetryMeans | None = field(default=None, metadata=LEFT_OUT)
    machine: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class RunConditions:
    """What the machine did besides the trials, and the warnings that follow.

    ``other_cores``: cores that other processes kept busy, as the median over trials. ``canary_spread``: the time of a
    fixed computation at slow times over that at fast ones (95th and 5th percentile). ``canary_related``: whether trials
    are shown to be slower at its slow times.
    """

    other_cores: float | None
    other_cores_worst: float | None
    busy_trials: int
    canary_spread: float | None
    canary_related: bool
    power: tuple[str, ...]
    low_power: bool
    thermal: tuple[str, ...]
    repeated_trials: int = 0
    """Run once more because of other load; both attempts are stored."""
    warnings: tuple[str, ...] = ()

"""What a worker can be asked to do: one job, with all that it needs. Its document is one line to the launcher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from m2bench.records.combinations import Layers
from m2bench.records.description import Target
from m2bench.records.inspected import TrainingPoint
from m2bench.records.results import WindowMoment
from m2bench.records.scale import Place
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec


@dataclass(frozen=True, kw_only=True)
class Job:
    """Any job. What follows here, the client fills in.

    ``work``: the folder for what trials need. ``compiler_import_s``: what importing the compiler took the launcher.
    ``threads``: how many torch uses; None leaves that to torch. ``timeout_s``: after which the worker is killed.
    """

    name: ClassVar[str]
    tells: ClassVar[type[WindowMoment] | type[TrainingPoint]] = WindowMoment
    """What the worker tells of its progress."""
    work: Path = Path()
    log: Path = Path()
    compiler_import_s: float = 0.0
    threads: int | None = None
    timeout_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PreloadJob(Job):
    """Import torch's compiler, and with ``probe`` let it examine the CPU; the seconds that the import took."""

    name = "preload"
    probe: bool


@dataclass(frozen=True, kw_only=True)
class SystemJob(Job):
    """A job about the system under test."""

    workload: WorkloadSpec


@dataclass(frozen=True, kw_only=True)
class LayersJob(SystemJob):
    """Name the layers, and their rules."""

    name = "layers"


@dataclass(frozen=True, kw_only=True)
class DescribeJob(SystemJob):
    """Describe this machine, the device, the layers and the data."""

    name = "describe"


@dataclass(frozen=True, kw_only=True)
class ThreadsJob(SystemJob):
    """Time updates of the combinations with each number of threads."""

    name = "threads"
    combinations: tuple[Layers, ...]
    candidates: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PrepareJob(SystemJob):
    """Prepare what the checks of all trials compare with."""

    name = "prepare"


@dataclass(frozen=True, kw_only=True)
class LimitsJob(SystemJob):
    """Measure what a place can do at most."""

    name = "limits"
    place: Place


@dataclass(frozen=True, kw_only=True)
class TurnsOf:
    """Where a trial gets its turns from, how many and how long they are, and under which name it takes them."""

    address: str
    count: int
    seconds: float
    name: str


@dataclass(frozen=True, kw_only=True)
class TrialJob(SystemJob):
    """Measure how fast a combination trains, by turns with another where there are ``turns``."""

    name = "trial"
    trial: TrialSpec
    window: WindowSpec
    turns: TurnsOf | None = None


@dataclass(frozen=True, kw_only=True)
class LearnJob(SystemJob):
    """Measure how soon a combination learns."""

    name = "learn"
    trial: TrialSpec
    target: Target


@dataclass(frozen=True, kw_only=True)
class CombinationJob(SystemJob):
    """A job about one combination."""

    layers: Layers
    seed: int


@dataclass(frozen=True, kw_only=True)
class ProfileJob(CombinationJob):
    """Look where the time goes, for so many ``seconds``. ``files``: where traces go; None: there are none."""

    name = "profile"
    seconds: float
    files: Path | None


@dataclass(frozen=True, kw_only=True)
class UpdatesJob(CombinationJob):
    """Do some updates, for a log of the device's own. ``capture``: the name of a Metal capture of them."""

    name = "updates"
    updates: int
    capture: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainJob(CombinationJob):
    """Train on so many ``episodes``, to a ``checkpoint``."""

    name = "train"
    tells = TrainingPoint
    episodes: int
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class AuditJob(SystemJob):
    """Find what training would lack on the device ``target``."""

    name = "audit"
    target: str
    layers: Layers


@dataclass(frozen=True, kw_only=True)
class ForwardJob(SystemJob):
    """Time forward passes alone."""

    name = "forward"
    sizes: tuple[int, ...]
    passes: int

"""What a worker can be asked to do: one job, with all that it needs. Its document is one line to the launcher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from m2bench.records.combinations import Layers
from m2bench.records.description import Target
from m2bench.records.inspected import TrainingPoint
from m2bench.records.results import WindowMoment
from m2bench.records.scale_spec import Place
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

    def __init_subclass__(cls, name: str = "") -> None:
        cls.name = name


@dataclass(frozen=True, kw_only=True)
class PreloadJob(Job, name="preload"):
    """Import torch's compiler, and with ``probe`` let it examine the CPU; the seconds that the import took."""

    probe: bool


@dataclass(frozen=True, kw_only=True)
class SystemJob(Job):
    """A job about the system under test."""

    workload: WorkloadSpec


class LayersJob(SystemJob, name="layers"):
    """Name the layers, and their rules."""


class DescribeJob(SystemJob, name="describe"):
    """Describe this machine, the device, the layers and the data."""


@dataclass(frozen=True, kw_only=True)
class ThreadsJob(SystemJob, name="threads"):
    """Time updates of the combinations with each number of threads."""

    combinations: tuple[Layers, ...]
    candidates: tuple[int, ...]


class PrepareJob(SystemJob, name="prepare"):
    """Prepare what the checks of all trials compare with."""


@dataclass(frozen=True, kw_only=True)
class LimitsJob(SystemJob, name="limits"):
    """Measure what a place can do at most."""

    place: Place


@dataclass(frozen=True, kw_only=True)
class TurnsOf:
    """Where a trial gets its turns from, how many and how long they are, and under which name it takes them."""

    address: str
    count: int
    seconds: float
    name: str


@dataclass(frozen=True, kw_only=True)
class TrialJob(SystemJob, name="trial"):
    """Measure how fast a combination trains, by turns with another where there are ``turns``."""

    trial: TrialSpec
    window: WindowSpec
    turns: TurnsOf | None = None


@dataclass(frozen=True, kw_only=True)
class LearnJob(SystemJob, name="learn"):
    """Measure how soon a combination learns."""

    trial: TrialSpec
    target: Target


@dataclass(frozen=True, kw_only=True)
class CombinationJob(SystemJob):
    """A job about one combination."""

    layers: Layers
    seed: int


@dataclass(frozen=True, kw_only=True)
class ProfileJob(CombinationJob, name="profile"):
    """Look where the time goes, for so many ``seconds``. ``files``: where traces go; None: there are none."""

    seconds: float
    files: Path | None


@dataclass(frozen=True, kw_only=True)
class UpdatesJob(CombinationJob, name="updates"):
    """Do some updates, for a log of the device's own. ``capture``: the name of a Metal capture of them."""

    updates: int
    capture: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainJob(CombinationJob, name="train"):
    """Train on so many ``episodes``, to a ``checkpoint``."""

    tells = TrainingPoint
    episodes: int
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(SystemJob, name="evaluate"):
    """Evaluate what was trained to a ``checkpoint``."""

    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class AuditJob(SystemJob, name="audit"):
    """Find what training would lack on the device ``target``."""

    target: str
    layers: Layers


@dataclass(frozen=True, kw_only=True)
class ForwardJob(SystemJob, name="forward"):
    """Time forward passes alone."""

    sizes: tuple[int, ...]
    passes: int

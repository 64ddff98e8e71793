"""What the harness asks of a system under test.

A system is a module with a function ``build``, whose result has a method ``update``. That is all that is required; what
else a system offers, it offers by functions and methods of these names, and defaults.py stands in for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, SupportsFloat

from m2bench.devices.training_pieces import InPieces
from m2bench.records.combinations import Layers
from m2bench.records.description import Described
from m2bench.records.inspected import AuditFindings, PassTime
from m2bench.records.results import Counts, Moment, NumericsCheck, PeakMemory, Proof, TrialResult
from m2bench.records.rules import Rules
from m2bench.records.spec import WorkloadSpec


class Told(NamedTuple):
    """What an update tells; figures may still lie on the device.

    ``units``: how many it processed; None: as many as every one does. ``mean_return``: of its training. None for what
    the system does not tell. It is made after every update, and a frozen dataclass takes a microsecond to make.
    """

    units: float | None = None
    loss: SupportsFloat | None = None
    mean_return: SupportsFloat | None = None


class System(InPieces, Protocol):
    """One combination of a system, ready for its first update."""

    episodes_per_update: int
    """Units that an update processes, whatever they are called."""
    steps_per_episode: int | None
    """Steps of the environment in a unit, None where there is no environment."""
    compiles: bool
    """Whether the first update compiles."""
    first_update_sets_up: bool
    """Whether building does nothing yet: the first update sets up, and compiles what is compiled."""
    processes: int
    """How many compute at once, by a thread each where there is more than one."""
    offers_proofs: bool
    """Whether ``proofs`` tells of its layers; of others' updates a fingerprint is taken (devices/fingerprint.py)."""

    def update(self) -> Any:
        """One optimizer step. What it returns is for ``told``, which reads it outside of the update's time."""

    def told(self, found: Any) -> Told:
        """What the last update told, from what it returned: by default a Told, or its mean training return."""

    def check_finite(self) -> None:
        """Raise FloatingPointError when the last update's loss or gradient was not a finite number."""

    def check_numerics(self) -> Mapping[str, NumericsCheck]:
        """By name, checks that the combination computes what the plain one does.

        The system is left as it was.
        """

    def check_stream(self) -> Mapping[str, NumericsCheck]:
        """The same of what was consumed up to now."""

    def energy_j(self) -> float | None:
        """Joules that the machine has used since some fixed moment; None where it does not tell."""

    def timed_window(self) -> AbstractContextManager[object]:
        """Held around the timed window; peak memory is counted from its beginning."""

    def waits_s(self) -> dict[str, float]:
        """Seconds of the timed window spent waiting, by the phase that they belong to."""

    def count(self) -> Counts | None:
        """What one unit asks of the device; None where the system does not tell."""

    def peak_memory_mb(self) -> PeakMemory:
        """Since the timed window began."""

    def proofs(self) -> Mapping[str, Proof]:
        """By layer, whether it was at work."""

    def sources(self) -> Mapping[str, str]:
        """The user's files that it is made of so far, as ``Sources`` of store/sources.py."""

    def evaluate(self) -> float | None:
        """What is reported of how well the system has learned."""

    def learned_return(self) -> float:
        """The return in which the target is stated; asked only of a system that describes a target."""

    def checkpoint(self) -> Mapping[str, object]:
        """What is to be saved of a trained system, for torch.save."""

    def close(self) -> None:
        """End the processes that the system has started."""


class Workload(Protocol):
    """A module that builds the system under test, completed with the defaults."""

    def layers(self, spec: WorkloadSpec) -> Layers:
        """The names of the layers, in order."""

    def rules(self, spec: WorkloadSpec) -> Rules:
        """Which layers need or exclude others."""

    def describe(self, spec: WorkloadSpec, work: Path) -> Described:
        """Prepare the data in ``work``; describe device, layers and workload.

        Raises UserError for a device that is not there or data that cannot be used.
        """

    def prepare(self, spec: WorkloadSpec, work: Path) -> list[str]:
        """Prepare what trials compare with; what the device computes wrongly, nothing where it is sound."""

    def build(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> System:
        """The system with these layers."""

    def audit(self, spec: WorkloadSpec, work: Path, target: str, layers: Layers) -> AuditFindings:
        """What training would meet on the device ``target``, found without it."""

    def forward(self, spec: WorkloadSpec, sizes: Sequence[int], passes: int) -> Sequence[PassTime]:
        """What forward passes take at these batch sizes."""

    def evaluate_checkpoint(self, spec: WorkloadSpec, work: Path, checkpoint: Path) -> float:
        """What ``System.evaluate`` tells of the trained system in this file."""


class Program(Protocol):
    """A system whose trials are programs of their own, of which nothing is seen but what they print.

    Its module is one of ``known_systems.PROGRAMS``, imports no torch, and has a function ``load_workload(spec)``.
    """

    def layers(self) -> Layers:
        """The names of the layers, in order."""

    def describe(self) -> Described:
        """What it is, its layers and workload."""

    def measure(self, layers: Layers, seed: int, limit_s: float, on_window: Callable[[Moment], None]) -> TrialResult:
        """Run it once with these layers for at most ``limit_s`` seconds, and tell when it begins and ends.

        Raises TrainerError where it fails or does not tell what is measured.
        """

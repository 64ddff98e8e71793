"""What stands in for all that a system under test does not offer: nothing is assumed, it is said not to be told."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, SupportsFloat

import torch

from m2bench.devices import torch_device
from m2bench.devices.device_description import describe_device
from m2bench.devices.training_pieces import Units
from m2bench.errors import UserError
from m2bench.records.combinations import Layers
from m2bench.records.description import Described, LayerDescription, SystemDescription, Unit, WorkloadDescription
from m2bench.records.documents import read
from m2bench.records.results import Counts, NumericsCheck, PeakMemory, Proof
from m2bench.records.rules import NO_RULES, Rules
from m2bench.records.spec import WorkloadSpec

from .interface import System, Told, Workload

NOT_TOLD = "the system does not tell how well it has learned"


def load_system(spec: WorkloadSpec) -> Workload:
    """The system under test, with the user's code imported, from whose folder this process works from here on.

    A module that leads to others' code has a function ``load_workload``, which returns what offers the rest. Raises
    UserError where the module is no system.
    """
    if spec.folder:
        os.chdir(spec.folder)
        sys.path.insert(0, spec.folder)
    module: Any = importlib.import_module(spec.module)
    offered = module.load_workload(spec) if hasattr(module, "load_workload") else module
    if not hasattr(offered, "build"):
        raise UserError(
            f"{spec.module} is no system under test.", "Give it a function build(spec, work, layers, seed)."
        )
    return CompletedWorkload(offered)


class CompletedWorkload:
    """A module with a function ``build``, and defaults for the other functions of a workload.

    A module may name its layers in ``LAYERS``.
    """

    def __init__(self, offered: Any):
        self._offered = offered
        for name in ("layers", "rules", "prepare", "audit", "forward", "evaluate_checkpoint"):
            if hasattr(offered, name):
                setattr(self, name, getattr(offered, name))

    def build(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> System:
        return CompletedSystem(self._offered.build(spec, work, layers, seed), torch_device.resolve_device(spec.device))

    def layers(self, spec: WorkloadSpec) -> Layers:
        return tuple(getattr(self._offered, "LAYERS", ()))

    def rules(self, spec: WorkloadSpec) -> Rules:
        return NO_RULES

    def describe(self, spec: WorkloadSpec, work: Path) -> Described:
        if not hasattr(self._offered, "describe"):
            return self._describe(spec)
        described = self._offered.describe(spec, work)
        if not isinstance(described, Described):
            raise UserError(
                f"describe of {spec.module} returns a {type(described).__name__}.",
                "Return a Described, as m2bench/records/description.py has it.",
            )
        return described

    def _describe(self, spec: WorkloadSpec) -> Described:
        """What is known of any system: the device, the names of its layers, and the options that were asked for."""
        return Described(
            system=SystemDescription(unit=Unit(), facts={"system": spec.module}, no_target_because=NOT_TOLD),
            device=describe_device(spec.device),
            layers=tuple(describe_layer(name) for name in self.layers(spec)),
            workload=read(WorkloadDescription, {"market": {}, "options": dict(spec.options), "target": None}),
        )

    def prepare(self, spec: WorkloadSpec, work: Path) -> list[str]:
        return []

    def audit(self, spec: WorkloadSpec, work: Path, target: str, layers: Layers) -> NoReturn:
        raise UserError(f"the system {spec.module} does not offer an audit.", "Audit another one.")

    def forward(self, spec: WorkloadSpec, sizes: Sequence[int], passes: int) -> NoReturn:
        raise UserError(f"the system {spec.module} does not offer forward passes alone.", "Time another one.")

    def evaluate_checkpoint(self, spec: WorkloadSpec, work: Path, checkpoint: Path) -> NoReturn:
        raise UserError(f"the system {spec.module} does not offer to evaluate a checkpoint.", "Evaluate another one.")


def describe_layer(name: str, **told: Any) -> LayerDescription:
    """A layer of which ``told`` is known, fields of its description.

    What it needs and excludes, ``rules`` tells.
    """
    untold: dict[str, Any] = {"part": name, "claim": None, "exact": False, "compiles": False, "works_ahead": True}
    return LayerDescription(name=name, **{**untold, "unsupported": None, **told})


class SystemDefaults:
    """What a trial asks of a system, but for ``update``, of one that offers none of it."""

    episodes_per_update = 1
    steps_per_episode: int | None = None
    compiles = False
    first_update_sets_up = False
    offers_proofs = False
    processes = 1

    def __init__(self, device: torch.device):
        self.device = device
        self._wait = torch_device.waiting_for(device)

    def told(self, found: Told | SupportsFloat | None) -> Told:
        return found if isinstance(found, Told) else Told(mean_return=found)

    def check_finite(self) -> None:
        pass

    def check_numerics(self) -> Mapping[str, NumericsCheck]:
        return {}

    def check_stream(self) -> Mapping[str, NumericsCheck]:
        return {}

    def synchronize(self) -> None:
        self._wait()

    @cached_property
    def _energy_counter(self) -> Callable[[], float] | None:
        return torch_device.energy_counter(self.device)

    def energy_j(self) -> float | None:
        return None if self._energy_counter is None else self._energy_counter()

    def timed_window(self) -> AbstractContextManager[object]:
        torch_device.reset_peak_memory(self.device)
        return nullcontext()

    def peak_memory_mb(self) -> PeakMemory:
        return torch_device.peak_memory_mb(self.device)

    def waits_s(self) -> dict[str, float]:
        return {}

    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]:
        return nullcontext()

    def pieces(self) -> Iterator[tuple[Callable[[], object], Units | None]]:
        return iter(())

    def count(self) -> Counts | None:
        return None

    def proofs(self) -> Mapping[str, Proof]:
        return {}

    def sources(self) -> Mapping[str, str]:
        return {}

    def evaluate(self) -> float | None:
        return None

    def learned_return(self) -> float:
        raise NotImplementedError(NOT_TOLD)

    def checkpoint(self) -> Mapping[str, object]:
        raise UserError("the system does not offer what could be saved of it.", "Train another one.")

    def close(self) -> None:
        pass


class CompletedSystem(SystemDefaults):
    """A system with a method ``update``, and defaults for all else that it does not offer."""

    def __init__(self, offered: Any, device: torch.device):
        super().__init__(device)
        for name in filter(lambda name: not name.startswith("_") and hasattr(offered, name), dir(SystemDefaults)):
            setattr(self, name, getattr(offered, name))
        proofs = getattr(type(offered), "proofs", SystemDefaults.proofs)
        self.offers_proofs = proofs is not SystemDefaults.proofs
        self._update = offered.update

    def update(self) -> Any:
        return self._update()

    def pieces(self) -> Iterator[tuple[Callable[[], object], Units | None]]:
        """An update as a whole."""
        yield self.update, self.episodes_per_update

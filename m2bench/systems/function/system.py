"""A user's function behind the interface that every system has.

The function is a generator that yields after every optimizer step; its keyword parameters that default to False are
the layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from m2bench.devices import torch_device
from m2bench.devices.device_description import describe_device
from m2bench.records.combinations import Layers
from m2bench.records.description import Rate, Unit
from m2bench.records.errors import TrainerError, UserError
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import NOT_TOLD, SystemDefaults, describe_layer
from m2bench.systems.interface import Document, Told

from .importing import import_function, told_by
from .yields import read_yield

Train = Callable[..., Generator[Any, None, None]]


def load_workload(spec: WorkloadSpec) -> FunctionWorkload:
    """The user's function, imported. Raises UserError where there is none."""
    return FunctionWorkload(spec.options["trainer"], import_function(spec.options["trainer"], Path(spec.folder)))


class FunctionWorkload:
    """One function of the user's, and what its module says about it."""

    def __init__(self, name: str, train: Train):
        self.name = name
        self.train = train
        self._module = inspect.getmodule(train)

    def layers(self, spec: WorkloadSpec) -> Layers:
        """Keyword parameters that default to False. Raises UserError where there is none."""
        parameters = inspect.signature(self.train).parameters.values()
        found = tuple(one.name for one in parameters if one.default is False)
        if not found:
            raise UserError(
                f"{self.name} has no boolean parameter that defaults to False, so there is nothing to switch on.",
                f"Give it one for each thing to try, as in def {self.train.__name__}(*, amp=False, device='cpu').",
            )
        return found

    def describe(self, spec: WorkloadSpec, work: Path) -> Document:
        """Run the function to its first yields; tell device, layers, unit, and what it tells of learning."""
        system = self.build(spec, work, (), seed=0)
        try:
            for _ in range(2):
                system.update()
                system.synchronize()
        except TrainerError as error:
            raise UserError(f"the trainer fails without any layer: {error}.", "Mend it, and run again.") from error
        finally:
            system.close()
        unit = (
            Unit(system.unit, f"{system.unit}s")
            if not system.unit.endswith("s")
            else Unit(system.unit[:-1], system.unit)
        )
        lines = (inspect.getdoc(self.train) or "").splitlines()
        facts = {"trainer": self.name} | ({"what it trains": lines[0]} if lines else {})
        return {
            "system": {
                "unit": asdict(unit),
                "rate": asdict(Rate(f"{unit.many}/s", 1 / 60)),
                "facts": facts,
                "no_target_because": NOT_TOLD,
            },
            "device": describe_device(spec.device),
            "layers": [describe_layer(name) for name in self.layers(spec)],
            "claimed_together": {},
            "workload": {"market": {}, "options": dict(spec.options), "target": None},
        }

    def build(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> FunctionSystem:
        device = torch_device.resolve_device(spec.device)
        taken = inspect.signature(self.train).parameters
        given: Mapping[str, Any] = {"device": str(device), "seed": seed}
        passed = {name: value for name, value in given.items() if name in taken} | dict.fromkeys(layers, True)
        return FunctionSystem(self.train, passed, device)


class FunctionSystem(SystemDefaults):
    """The generator that the user's function returns, with these layers."""

    def __init__(self, train: Train, passed: Mapping[str, Any], device: torch.device):
        super().__init__(device)
        self._train = train
        with told_by(train):
            self._steps = train(**passed)
        self.unit = "update"

    def update(self) -> Told:
        with told_by(self._train):
            try:
                found = next(self._steps)
            except StopIteration:
                raise TrainerError(
                    f"{self._train.__name__} ended before the timed window was over: let it yield for longer"
                ) from None
        self.unit, told = read_yield(found)
        return told

    def close(self) -> None:
        with told_by(self._train):
            self._steps.close()

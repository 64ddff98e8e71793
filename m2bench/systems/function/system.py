"""A user's function behind the interface that every system has.

The function is a generator that yields after every optimizer step; its parameters that default to False are the layers.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from m2bench.devices import torch_device
from m2bench.devices.device_description import describe_device
from m2bench.devices.training_pieces import Units
from m2bench.errors import TrainerError, TrainingEnded, UserError
from m2bench.records.combinations import Layers
from m2bench.records.description import Described, Device, Rate, SystemDescription, Unit, WorkloadDescription
from m2bench.records.documents import read
from m2bench.records.rules import Rules
from m2bench.records.spec import WorkloadSpec
from m2bench.store.sources import Sources, sources_of
from m2bench.systems.defaults import NOT_TOLD, SystemDefaults
from m2bench.systems.interface import Told

from .declared import declared_layers, declared_rules, declared_target, declared_unit, misspelt
from .importing import UserTrainer, import_trainer, users_files
from .parameters import DEVICE, SEED, THREADS, Settings, read_parameters, refuse_no_layers
from .raised import UsersCode, as_named
from .source import place_of
from .yields import LOSS, RETURN, SAMPLES, read_yield, singular

TRIED = 2  # updates that describe the trainer
SAME = 1e-4  # relative: what two tries with the same seed tell may differ by rounding on a GPU
NO_TARGET = "its module names no TARGET, as in TARGET = {'loss': 0.3} or {'return': 195}"
ENDED = object()
COUNTED = "counted"
"""File, in the folder for what trials need, with the unit that the trainer counts without any layer."""


def load_workload(spec: WorkloadSpec) -> FunctionWorkload:
    """The user's function, imported. Raises UserError where there is none, or none that can be measured."""
    trainer = import_trainer(spec.options["trainer"], Path(spec.folder))
    return FunctionWorkload(trainer, spec.device, spec.options.get("settings"))


@dataclass(frozen=True)
class Tried:
    """What the first updates told: their unit, how many the first one has, and their losses and returns."""

    counted: str
    first_units: float
    told: tuple[float, ...]


class FunctionWorkload:
    """One function of the user's, and what its parameters and its module say about it."""

    def __init__(self, trainer: UserTrainer, device: str, settings: Settings | None = None):
        self.trainer = trainer
        self._takes = read_parameters(trainer, settings)
        self._settings = settings
        self._unit = declared_unit(trainer) or SAMPLES
        self._layers = declared_layers(trainer, self._takes.layers)
        self._rules = declared_rules(trainer, self._takes.layers)
        self._target = declared_target(trainer)
        if device != WorkloadSpec.device and not self._takes.takes_device:
            raise UserError(
                f"{place_of(trainer.train)}: {trainer.function} takes no {DEVICE}, so --device {device} has no effect.",
                f"Give it a parameter {DEVICE}='cpu' and let it train there, or leave --device out.",
            )

    def layers(self, spec: WorkloadSpec) -> Layers:
        """Parameters that default to False. Raises UserError where there are none, unless settings are varied."""
        if not self._takes.layers and self._settings is None:
            refuse_no_layers(self.trainer, self._takes.always_on)
        return self._takes.layers

    def rules(self, spec: WorkloadSpec) -> Rules:
        """Those that the module declares."""
        return self._rules

    def describe(self, spec: WorkloadSpec, work: Path) -> Described:
        """Run the function to its first yields; tell device, layers, unit, and what it tells of learning."""
        device = torch_device.resolve_device(spec.device)
        tried = self._tried(device)
        (work / COUNTED).write_text(tried.counted)
        unit = Unit(singular(tried.counted), tried.counted)
        lines = (inspect.getdoc(self.trainer.train) or "").splitlines()
        workload = {
            "market": {},
            "options": dict(spec.options),
            "target": self._target and {**self._target, "first_units": tried.first_units},
            "market_remarks": [*self._remarks(device)],
            "repeats_itself": self._repeats(tried, device),
            "sources": sources_of(users_files(self.trainer), Path.cwd()),
        }
        return Described(
            system=SystemDescription(
                unit=unit,
                rate=Rate(f"{unit.many}/s", 1 / 60),
                facts={"trainer": self.trainer.name} | ({"what it trains": lines[0]} if lines else {}),
                first_update_sets_up=True,
                no_target_because=None if self._target else NO_TARGET if tried.told else NOT_TOLD,
            ),
            device=self._describe_device(spec.device),
            layers=self._layers,
            workload=read(WorkloadDescription, workload),
        )

    def _describe_device(self, asked: str) -> Device:
        """One that takes no device trains where it is taken to, and nowhere else."""
        found = describe_device(asked)
        return found if self._takes.takes_device else found.with_facts({"all_devices": [found.device]})

    def _tried(self, device: torch.device) -> Tried:
        """What the first updates without any layer tell. Raises UserError where they fail."""
        system = FunctionSystem(self.trainer, self._passed(device, (), seed=0), device, self._unit)
        try:
            told = [system.told(system.update()) for _ in range(TRIED)]
        except (TrainerError, FloatingPointError) as error:
            raise UserError(
                f"{self.trainer.name} fails without any layer: {error}.", "Correct it, and run again."
            ) from error
        finally:
            system.close()
        assert system.counted is not None
        tells = {LOSS for each in told if each.loss is not None} | {
            RETURN for each in told if each.mean_return is not None
        }
        if self._target and self._target["measure"] == LOSS and LOSS not in tells:
            raise UserError(
                f"the TARGET is a loss, and {self.trainer.name} yields none.",
                f"Let it yield {{{system.counted!r}: {told[0].units:g}, {LOSS!r}: loss}}.",
            )
        values = [float(value) for each in told for value in (each.loss, each.mean_return) if value is not None]
        return Tried(system.counted, told[0].units or 1, tuple(values))

    def _repeats(self, tried: Tried, device: torch.device) -> bool | None:
        """Whether a second try with the same seed tells the same; None where nothing is told, or there is no second."""
        try:
            again = self._tried(device).told if tried.told else ()
        except UserError:  # a trainer that can run once in a process is no worse for that
            return None
        return all(map(partial(math.isclose, rel_tol=SAME), tried.told, again)) if again else None

    def _remarks(self, device: torch.device) -> Iterator[str]:
        """What the reader of a report should know of the function's parameters."""
        function, takes = self.trainer.function, self._takes
        yield from misspelt(self.trainer)
        for name in takes.always_on:
            yield f"{name} defaults to True and is always on: let it default to False, and it is a layer."
        if not takes.takes_device and device.type != "cpu":
            yield f"{function} takes no {DEVICE}; it is taken to train on {device}."
        if not takes.takes_seed:
            yield f"{function} takes no {SEED}, so its trials need not begin with the same weights and data."

    def build(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> FunctionSystem:
        device = torch_device.resolve_device(spec.device)
        found = FunctionSystem(self.trainer, self._passed(device, layers, seed), device, self._unit)
        if (work / COUNTED).exists():
            found.counted = (work / COUNTED).read_text()
        return found

    def _passed(self, device: torch.device, layers: Layers, seed: int) -> Settings:
        """The arguments of the function."""
        varies = self._settings is not None
        taken = {
            DEVICE: self._takes.takes_device,
            SEED: self._takes.takes_seed,
            THREADS: self._takes.takes_threads and varies,
        }
        given = {DEVICE: str(device), SEED: seed, THREADS: torch.get_num_threads()}
        always = {name: given[name] for name in given if taken[name]}
        return {**always, **(self._settings or {}), **dict.fromkeys(layers, True)}


class FunctionSystem(SystemDefaults):
    """The generator that the user's function returns.

    ``counted``: the unit that every update has to count; None before the first one.
    """

    first_update_sets_up = True

    def __init__(self, trainer: UserTrainer, passed: Settings, device: torch.device, unit: str):
        super().__init__(device)
        self._trainer, self._name = trainer, trainer.function
        self._unit = unit
        self.counted: str | None = None
        self._updates = 0
        self._units: list[float] = []
        with UsersCode():
            self._steps = trainer.train(**passed)

    def update(self) -> Any:
        """Run the function to its next yield, and return what it yields. Raises TrainingEnded where there is none."""
        try:
            found = next(self._steps, ENDED)
        except BaseException:
            with UsersCode():  # only here: entering it costs about a microsecond
                raise
        if found is ENDED:
            raise TrainingEnded(self._ended())
        self._updates += 1
        return found

    def told(self, found: Any) -> Told:
        """What was yielded, read; a loss on the device is copied from it.

        Raises TrainerError for what says nothing, and FloatingPointError for a loss that is no finite number.
        """
        try:
            counted, told = read_yield(found, self._unit)
            if counted != self.counted:
                self._refuse_another_unit(counted)
        except ValueError as error:
            raise TrainerError(f"{self._name} {error}{self._place()}") from None
        if told.loss is not None and not math.isfinite(told.loss):
            raise FloatingPointError(f"update {self._updates}: the loss is not finite ({told.loss}){self._place()}")
        self._units.append(told.units or 0.0)
        return told

    def _ended(self) -> str:
        if not self._updates:
            return f"{self._name} ended without a yield{self._place()}: let it yield after every optimizer step"
        return f"{self._name} ended after {self._updates} update{'s' if self._updates > 1 else ''}{self._place()}"

    def _refuse_another_unit(self, counted: str) -> None:
        """Raise ValueError: speeds in two units cannot be compared."""
        self.counted = self.counted or counted
        if counted != self.counted:
            raise ValueError(f"counts {counted} here, and {self.counted} elsewhere: count the same in every update")

    def _place(self) -> str:
        """The line of the yield at which the function waits; where it has ended, its own."""
        code, frame = (getattr(self._steps, name, None) for name in ("gi_code", "gi_frame"))
        if code is None:  # an iterator that a decorator made
            return ""
        return f" ({as_named(code.co_filename)}:{code.co_firstlineno if frame is None else frame.f_lineno})"

    def sources(self) -> Sources:
        return sources_of(users_files(self._trainer), Path.cwd())

    def pieces(self) -> Iterator[tuple[Callable[[], object], Units | None]]:
        """One update, which counts as one with as many units as those before it had on average."""
        yield self._one_more, Fraction(sum(self._units)) / len(self._units)

    def _one_more(self) -> None:
        with suppress(TrainingEnded):  # what was to be timed is timed
            self.update()

    def close(self) -> None:
        with UsersCode():
            getattr(self._steps, "close", lambda: None)()  # which an iterator that a decorator made may not have

"""The documents that the parent sends to a worker: plain data, one JSON document each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

from .combinations import Layers
from .options import DEVICES, TRAINING, Option, Value, one_of, option, options_of

FORMER_MODULES = {"m2bench.workload": "m2bench.systems.trading.system"}
"""Where systems under test were in earlier versions, whose runs and references are still read."""


def system_options() -> tuple[Option, ...]:
    """What a system under test can be asked for. Found by name, as the system is: the harness knows no option of it."""
    declared: tuple[Option, ...] = import_module("m2bench.systems.trading.options").OPTIONS
    return declared


def swept_option() -> Option:
    """The option that a sweep varies."""
    return next(option for option in system_options() if option.swept)


@dataclass(frozen=True)
class WorkloadSpec:
    """What is trained and on what; the same for every trial of a run.

    ``options`` are those of the system under test, of which each that is not given has its default. TypeError for one
    that the system does not declare.
    """

    device: str = option(
        "auto",
        f"Device to train on: {', '.join(DEVICES)}.",
        read=one_of(DEVICES),
        commands=(*TRAINING, "layers", "doctor"),
    )
    options: Mapping[str, Value] = field(default_factory=dict)
    module: str = option(
        "m2bench.systems.trading.system",
        "Python module that builds the system under test.",
        spelled="--workload",
        hidden=True,
        commands=(*TRAINING, "doctor"),
    )

    def __post_init__(self) -> None:
        defaults = {option.name: option.default for option in system_options()}
        unknown = self.options.keys() - defaults.keys()
        if unknown:
            raise TypeError(f"the system under test has no option {', '.join(sorted(unknown))}")
        missing = {name: value for name, value in defaults.items() if name not in self.options}
        object.__setattr__(self, "options", {**self.options, **missing})

    def with_options(self, **options: Value) -> WorkloadSpec:
        """The same with other options of the system."""
        return replace(self, options={**self.options, **options})

    def to_json(self) -> dict[str, Any]:
        """One flat document, as workers of every version read it."""
        return {"device": self.device, **self.options, "module": self.module}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> WorkloadSpec:
        """The inverse of ``to_json``; reads what earlier versions wrote as well."""
        options = {name: value for name, value in document.items() if name not in ("device", "module")}
        return cls(document["device"], options, FORMER_MODULES.get(document["module"], document["module"]))

    def words(self, command: str, layers: Layers) -> list[str]:
        """The words that ask a command for this, with these layers on."""
        device, module = options_of(WorkloadSpec)
        return [
            word
            for option in (device, *system_options(), module)
            if command in option.commands and option.layer in (None, *layers)
            if (value := self.to_json()[option.name]) != option.default
            for word in (option.flag, str(value))
        ]


@dataclass(frozen=True)
class WindowSpec:
    """How long a trial warms up and how long it is timed; the least seconds and updates must both be reached.

    The timed window goes on until its mean is known to within a relative standard error of ``timed_error``, but not
    beyond ``timed_most_s``. More precision would be lost on the scatter between processes, which is several times it.
    """

    warmup_s: float = 0.5
    warmup_updates: int = 2
    timed_s: float = 1.0
    timed_updates: int = 4
    timed_most_s: float = 2.0
    timed_error: float = 0.03


QUICK = WindowSpec(warmup_s=0.25, warmup_updates=1, timed_s=0.5, timed_updates=1, timed_most_s=0.5, timed_error=0.03)

TrialKind = Literal["speed", "learning", "sweep"]


@dataclass(frozen=True)
class TrialSpec:
    """One process that trains one combination: for a timed window, or until it has learned enough.

    A trial of a sweep is a timed one with a number of environments of its own.
    """

    key: str
    layers: Layers
    block: int
    seed: int
    kind: TrialKind = "speed"
    limit_s: float | None = None
    """Seconds after which a learning trial gives up."""
    mini_blocks: tuple[int, ...] = ()
    """Where a speed trial stands in the run: in one mini-block, or as an anchor between two."""
    num_envs: int | None = None
    """Where it is not that of the run."""
    repeats: str | None = None
    """Key of the trial that this one repeats, since that one ran under load."""
    counts: bool = True
    """Whether operators are counted, which takes as long as the timed window and comes out the same in every trial."""

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TrialSpec:
        lists = {name: tuple(document[name]) for name in ("layers", "mini_blocks")}
        return cls(**{**document, **lists})


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides what a run does; stored with it, so that it can be resumed."""

    layers: Layers
    design: tuple[str, ...]
    blocks: int
    seed: int
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)
    window: WindowSpec = field(default_factory=WindowSpec)
    trial_timeout_s: float = 600.0
    learning: str = "quick"
    sweep: tuple[int, ...] = ()
    """Numbers of environments to try with the fastest combination."""
    allow_wrong_device: bool = False
    """Whether to go on, with every figure marked, on a device that computes wrongly."""
    threads: int | None = None
    """How many torch uses in every trial; None until that is measured."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "workload": self.workload.to_json()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RunSpec:
        return cls(
            **{
                **document,
                "layers": tuple(document["layers"]),
                "design": tuple(document["design"]),
                "sweep": tuple(document.get("sweep", ())),
                "workload": WorkloadSpec.from_json(document["workload"]),
                "window": WindowSpec(**document["window"]),
            }
        )

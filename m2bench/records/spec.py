"""The documents that the parent sends to a worker: plain data, one JSON document each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from .combinations import Layers
from .documents import read
from .rules import NO_RULES, Rules
from .scale import Scale

FORMER_MODULES = {"m2bench.workload": "m2bench.systems.trading.system"}
"""Where systems under test were in earlier versions, whose runs and references are still read."""


def present_module(module: str) -> str:
    """Where the system under test is now that an earlier version knew by this name."""
    return FORMER_MODULES.get(module, module)


Options = Mapping[str, Any]
"""Options of a system under test by their names: those that were asked for. It knows the others' values itself."""


@dataclass(frozen=True)
class WorkloadSpec:
    """What is trained and on what; the same for every trial of a run.

    In its document the options stand beside the other fields, so none may have the name of one of these.
    """

    device: str = "auto"
    data: str = "synthetic"
    options: Options = field(default_factory=dict)
    module: str = "m2bench.systems.trading.system"
    """The Python module that builds the system under test."""
    folder: str = ""
    """Where a user's code is imported from and runs; empty for the system that m2bench brings along."""

    def to_json(self) -> dict[str, Any]:
        folder = {"folder": self.folder} if self.folder else {}
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()}
        return {"device": self.device, "data": self.data, **options, "module": self.module, **folder}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> WorkloadSpec:
        own, options = _apart(cls, document)
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        return cls(**{**own, "module": present_module(own["module"])}, options=options)


def _apart(spec: type[WorkloadSpec | TrialSpec], document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a specification in its document, and the options that stand beside them."""
    names = {each.name for each in fields(spec)}
    own = {name: value for name, value in document.items() if name in names}
    return own, {name: value for name, value in document.items() if name not in names}


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

TrialKind = Literal["speed", "learning"]


@dataclass(frozen=True)
class TrialSpec:
    """One process that trains one combination: for a timed window, or until it has learned enough."""

    key: str
    layers: Layers
    block: int
    seed: int
    kind: TrialKind = "speed"
    limit_s: float | None = None
    """Seconds after which a learning trial gives up."""
    mini_blocks: tuple[int, ...] = ()
    """Where a speed trial stands in the run: in one mini-block, or as an anchor between two."""
    options: Options = field(default_factory=dict)
    """Those that are not as in the run; in its document they stand beside the other fields."""
    repeats: str | None = None
    """Key of the trial that this one repeats, since that one ran under load."""
    counts: bool = True
    """Whether operators are counted, which takes as long as the timed window and comes out the same in every trial."""
    device: str | None = None
    threads: int | None = None
    """Where it computes, and with how many threads, in a run of ``scale``; None elsewhere: as in the run."""

    def to_json(self) -> dict[str, Any]:
        own = asdict(self)
        options = own.pop("options")
        return {**own, **options}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TrialSpec:
        own, options = _apart(cls, document)
        lists = {name: tuple(own[name]) for name in ("layers", "mini_blocks")}
        # In earlier versions an option that was as in the run was there too, without a value.
        return cls(**{**own, **lists}, options={name: value for name, value in options.items() if value is not None})


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
    allow_wrong_device: bool = False
    """Whether to go on, with every figure marked, on a device that computes wrongly."""
    threads: int | None = None
    """How many torch uses in every trial; None until that is measured."""
    rules: Rules = NO_RULES
    """Which of these layers need or exclude each other."""
    scale: Scale | None = None
    """What is varied in a run of ``scale``, in place of the design; None for an ablation."""

    def to_json(self) -> dict[str, Any]:
        own = asdict(self)
        for name in ("rules", "scale"):
            if not getattr(self, name):
                del own[name]  # as in earlier versions
        return {**own, "workload": self.workload.to_json()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RunSpec:
        known = {each.name for each in fields(cls)}  # earlier versions had a field more
        return cls(
            **{
                **{name: value for name, value in document.items() if name in known},
                "layers": tuple(document["layers"]),
                "design": tuple(document["design"]),
                "workload": WorkloadSpec.from_json(document["workload"]),
                "window": WindowSpec(**document["window"]),
                "rules": read(Rules, document.get("rules", {})),
                "scale": read(Scale, document["scale"]) if "scale" in document else None,
            }
        )

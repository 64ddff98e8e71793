"""The documents that the parent sends to a worker: plain data, one JSON document each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .combinations import Layers

SWEPT_LAYER = "batching"  # whose number of environments a sweep varies


FORMER_MODULES = {"m2bench.workload": "m2bench.systems.trading.system"}
"""Where systems under test were in earlier versions, whose runs and references are still read."""


@dataclass(frozen=True)
class WorkloadSpec:
    """What is trained and on what; the same for every trial of a run."""

    device: str = "auto"
    data: str = "synthetic"
    num_envs: int = 32
    episode_length: int = 128
    policy: str = "default"
    lr_scaling: str = "none"
    compile_backend: str | None = None
    num_workers: int = 4
    accumulation_steps: int = 4
    module: str = "m2bench.systems.trading.system"
    """The Python module that builds the system under test."""

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> WorkloadSpec:
        return cls(**{**document, "module": FORMER_MODULES.get(document["module"], document["module"])})


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
        return asdict(self)

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

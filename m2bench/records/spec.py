"""The documents that the parent sends to a worker: plain data, one JSON document each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .combinations import Layers
from .documents import LEFT_OUT, REST, Document

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
    options: Options = field(default_factory=dict, metadata=REST)
    module: str = "m2bench.systems.trading.system"
    """The Python module that builds the system under test."""
    folder: str = field(default="", metadata=LEFT_OUT)
    """Where a user's code is imported from and runs; empty for the system that m2bench brings along."""

    @property
    def asked(self) -> Options:
        """All that is asked for, by the names of the options."""
        return {"device": self.device, "data": self.data, "module": self.module, **self.options}

    @staticmethod
    def completed(document: Document) -> Document:
        """The document with the module's present name."""
        return {**document, "module": present_module(document["module"])}


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
    options: Options = field(default_factory=dict, metadata=REST)
    """Those that are not as in the run; in its document they stand beside the other fields."""
    repeats: str | None = None
    """Key of the trial that this one repeats, since that one ran under load."""
    counts: bool = True
    """Whether operators are counted, which takes as long as the timed window and comes out the same in every trial."""
    device: str | None = None
    threads: int | None = None
    """Where it computes, and with how many threads, in a run of ``scale``; None elsewhere: as in the run."""
    set_aside: bool = field(default=False, metadata=LEFT_OUT)
    """Whether its block was not finished on its machine and was run again on another: no figure rests on it."""

    @property
    def planned_key(self) -> str:
        """Key of the trial of the plan at which this is an attempt."""
        return self.repeats or self.key

    @staticmethod
    def completed(document: Document) -> Document:
        """The document without options that are as in the run: earlier versions wrote them without a value."""
        return {key: value for key, value in document.items() if value is not None}

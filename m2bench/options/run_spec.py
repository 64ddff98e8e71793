"""What a run is asked to do, as it is stored with the run."""

from __future__ import annotations

from dataclasses import dataclass, field

from m2bench.records.combinations import Layers
from m2bench.records.documents import LEFT_OUT
from m2bench.records.factors_spec import Factors
from m2bench.records.rules import NO_RULES, Rules
from m2bench.records.scale_spec import Scale
from m2bench.records.spec import WindowSpec, WorkloadSpec

from .run_options import RunOptions


@dataclass(frozen=True)
class RunSpec(RunOptions):
    """Everything that decides what a run does; stored with it, so that it can be resumed."""

    layers: Layers
    design: tuple[str, ...]
    blocks: int
    seed: int
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)
    window: WindowSpec = field(default_factory=WindowSpec)
    rules: Rules = field(default=NO_RULES, metadata=LEFT_OUT)
    """Which of these layers need or exclude each other."""
    scale: Scale | None = field(default=None, metadata=LEFT_OUT)
    """What is varied in a run of ``scale``, in place of the design; None for an ablation."""
    factors: Factors | None = field(default=None, metadata=LEFT_OUT)
    """What is varied instead of layers in a run of ``ablate --factors``."""
    mini_blocks_apart: bool = field(default=False, metadata=LEFT_OUT)
    """Whether every mini-block has anchors of its own, so that several machines can share a block."""

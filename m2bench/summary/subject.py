"""What a run trained, and on what it was measured: what summaries have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from m2bench.options.run_spec import RunSpec
from m2bench.records.description import Device, Machine, SystemDescription, WorkloadDescription
from m2bench.records.documents import FLAT


@dataclass(frozen=True)
class MeasuredOn:
    """The machine and its device, with all their facts."""

    machine: Machine = field(metadata=FLAT)
    device: Device = field(metadata=FLAT)


@dataclass(frozen=True)
class Trained:
    """What was trained, with all its facts, and what the run was asked to do."""

    description: WorkloadDescription = field(metadata=FLAT)
    spec: RunSpec


@dataclass(frozen=True)
class RunSummary:
    """What a summary begins with."""

    schema: int
    run: str
    started: str
    trials_done: int
    trials_planned: int
    system: SystemDescription
    machine: MeasuredOn
    workload: Trained

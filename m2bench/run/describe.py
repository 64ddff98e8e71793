"""What a worker finds out before any trial: the machine, the device, the layers, the system under test."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from m2bench.errors import UserError
from m2bench.machine.checks import warnings_of_machine
from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import DESCRIBE_TIMEOUT_S, Launcher, succeeded
from m2bench.processes.environment import users_environment
from m2bench.processes.job_requests import DescribeJob, LayersJob, PrepareJob
from m2bench.records.combinations import Layers
from m2bench.records.description import Description, Prepared
from m2bench.records.results import Failure
from m2bench.records.rules import NamedLayers
from m2bench.records.spec import WorkloadSpec

if TYPE_CHECKING:
    from rich.console import Console


def describe(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> Description:
    """Machine, device, layers and workload, found by a worker, which also prepares the data.

    Raises UserError for a device or data that cannot be used, and WorkerError when the worker fails.
    """
    log = logs / "describe.log"
    found = launcher.run(DescribeJob(workload=workload), Description, log, DESCRIBE_TIMEOUT_S).result
    what = "the trainer does not run" if workload.folder else "this machine cannot be examined"
    return succeeded(found, what, log)


def show_remarks(description: Description, console: Console) -> None:
    """Print what makes every figure of this machine doubtful, and what is doubtful in the data."""
    for warning in warnings_of_machine(description.machine, description.device):
        console.print(f"Warning: {warning}.")
    show_remarks_on_data(description, console)


def show_remarks_on_data(description: Description, console: Console) -> None:
    """Print what is doubtful in the data."""
    for remark in description.workload.market_remarks:
        console.print(remark)


def named_layers(workload: WorkloadSpec) -> NamedLayers:
    """The layers of a user's system and their rules, whose code is imported by a process of its own.

    Raises UserError where it cannot be imported or names none.
    """
    with (
        tempfile.TemporaryDirectory(prefix="m2bench-") as folder,
        Launcher(Path(folder), Path(folder) / "log", users_environment(workload)) as own,
    ):
        log = Path(folder) / "layers.log"
        found = own.run(LayersJob(workload=workload), NamedLayers, log, DESCRIBE_TIMEOUT_S).result
    if isinstance(found, Failure):
        raise UserError(f"the trainer's layers cannot be read: {found.text}.")
    return found


def refuse_unknown_layers(layers: Layers, description: Description) -> None:
    """Raise UserError for layers that the system does not have."""
    known = [layer.name for layer in description.layers]
    unknown = [layer for layer in layers if layer not in known]
    if unknown:
        raise UserError(
            f"the system has no layer {', '.join(unknown)}.",
            f"There are: {', '.join(known)}." if known else "It names none.",
        )


def refuse_other_rules(spec: RunSpec, description: Description) -> None:
    """Raise UserError where the layers need or exclude others than the run was planned with."""
    described = description.rules_among(spec.layers)
    pairs = [({*rules.needs}, {frozenset(pair) for pair in rules.excludes}) for rules in (spec.rules, described)]
    if pairs[0] != pairs[1]:
        raise UserError(
            "the layers need or exclude others than this run was planned with.",
            "Begin a new run.",
        )


def prepare(launcher: Launcher, workload: WorkloadSpec, logs: Path, timeout_s: float = DESCRIBE_TIMEOUT_S) -> Prepared:
    """Have a worker prepare what all trials are checked against, and measure what the device can do at most.

    A program is run once. Raises UserError where that fails.

    Device faults are to be refused (refusals.py). Raises WorkerError when the worker fails.
    """
    log = logs / "prepare.log"
    found = launcher.run(PrepareJob(workload=workload), Prepared, log, timeout_s).result
    return succeeded(found, "the numerics checks cannot be prepared", log)

"""What a worker finds out before any trial: the machine, the device, the layers, the system under test."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from m2bench.processes.client import DESCRIBE_TIMEOUT_S, Launcher
from m2bench.records.description import Description, Prepared
from m2bench.records.errors import WorkerError
from m2bench.records.results import Failure
from m2bench.records.spec import WorkloadSpec


def describe(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> Description:
    """Machine, device, layers and workload, found by a worker, which also prepares the market.

    Raises UserError for a device or data that cannot be used, and WorkerError when the worker fails.
    """
    log = logs / "describe.log"
    found = launcher.run("describe", {"workload": asdict(workload)}, Description, log, DESCRIBE_TIMEOUT_S).result
    if isinstance(found, Failure):
        raise WorkerError(f"this machine cannot be examined: {found.text}.", f"The log is {log}.")
    return found


def prepare(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> Prepared:
    """Have a worker prepare what all trials are checked against, and measure what the device can do at most.

    Device faults are to be refused (wrong_device.py). Raises WorkerError when the worker fails.
    """
    log = logs / "prepare.log"
    found = launcher.run("prepare", {"workload": asdict(workload)}, Prepared, log, DESCRIBE_TIMEOUT_S).result
    if isinstance(found, Failure):
        raise WorkerError(f"the numerics gate cannot be prepared: {found.text}.", f"The log is {log}.")
    return found

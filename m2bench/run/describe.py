"""What a worker finds out before any trial: the machine, the device, the layers, the system under test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m2bench.processes.client import DESCRIBE_TIMEOUT_S, Launcher
from m2bench.records.combinations import Layers
from m2bench.records.errors import UserError, WorkerError
from m2bench.records.spec import WorkloadSpec


def describe(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> dict[str, Any]:
    """Machine, device, layers and workload, found by a worker, which also prepares the data.

    Raises UserError for a device or data that cannot be used, and WorkerError when the worker fails.
    """
    log = logs / "describe.log"
    outcome = launcher.run("describe", {"workload": workload.to_json()}, log, DESCRIBE_TIMEOUT_S)
    if "failure" in outcome:
        raise WorkerError(f"this machine cannot be examined: {outcome['failure']}.", f"The log is {log}.")
    description: dict[str, Any] = outcome["result"]
    return description


def refuse_unknown_layers(layers: Layers, description: dict[str, Any]) -> None:
    """Raise UserError for layers that the system does not have."""
    known = [layer["name"] for layer in description["layers"]]
    unknown = [layer for layer in layers if layer not in known]
    if unknown:
        raise UserError(
            f"the system has no layer {', '.join(unknown)}.",
            f"There are: {', '.join(known)}." if known else "It names none.",
        )


def prepare(launcher: Launcher, workload: WorkloadSpec, logs: Path) -> dict[str, Any]:
    """Have a worker prepare what the gates of all trials compare with, and measure what the device can do at most.

    ``prepare_s``: the seconds that the former took; ``device_faults``: what the device computes wrongly, which is to be
    refused (wrong_device.py); ``peak_flops``: the latter (devices.matmul_peak_flops).

    Raises WorkerError when the worker fails.
    """
    log = logs / "prepare.log"
    outcome = launcher.run("prepare", {"workload": workload.to_json()}, log, DESCRIBE_TIMEOUT_S)
    if "failure" in outcome:
        raise WorkerError(f"the numerics gate cannot be prepared: {outcome['failure']}.", f"The log is {log}.")
    return {name: outcome["result"][name] for name in ("prepare_s", "device_faults", "peak_flops")}

"""What the device's own log says of both sides of a profile, where torch.profiler sees nothing of the device.

The log is written when a process ends and covers all of it. So each side is run in two processes that differ in the
number of updates alone, and their difference is what those updates did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from m2bench.processes.client import Launcher
from m2bench.processes.environment import users_environment
from m2bench.processes.job_requests import UpdatesJob
from m2bench.records.combinations import Layers
from m2bench.records.inspected import Updated
from m2bench.records.results import Failure
from m2bench.records.spec import WorkloadSpec

from .mps_log import MpsLog, parse_mps_log

UPDATES = (2, 8)
TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class NoLog:
    """Why the device's log is not available."""

    reason: str


def read_device_log(
    environment: Mapping[str, str], spec: WorkloadSpec, layers: Layers, seed: int, size: int, work: Path, log: Path
) -> MpsLog | NoLog:
    """Operations, fallbacks and copies of ``size`` units.

    ``environment``: the variables that make the backend write its log, read once when torch is loaded.
    """
    found: list[MpsLog] = []
    episodes = []
    for updates in UPDATES:
        path = log.with_suffix(f".{updates}.log")
        job = UpdatesJob(workload=spec, layers=layers, seed=seed, updates=updates)
        with Launcher(work, path, {**users_environment(spec), **environment}) as launcher:
            outcome = launcher.run(job, Updated, path, TIMEOUT_S).result
        if isinstance(outcome, Failure):
            return NoLog(f"{outcome.text} (log: {path})")
        try:
            found.append(parse_mps_log(path.read_text(errors="replace")))
        except (OSError, ValueError) as error:
            return NoLog(f"{error} (log: {path})")
        episodes.append(outcome.episodes)
    return found[1].since(found[0], (episodes[1] - episodes[0]) / size)

"""Trials of the fake system in workers that a launcher starts, and what processes they leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import Launcher
from m2bench.records.description import Device
from m2bench.records.documents import read
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.run.trials import trial_executor

WINDOW = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=3)


def workers_of(folder: Path) -> list[psutil.Process]:
    """Launchers and workers that belong to the run in ``folder``."""
    return [
        process
        for process in psutil.process_iter(["status", "cwd"])  # None where it may not be read
        if process.info["status"] != psutil.STATUS_ZOMBIE and (process.info["cwd"] or "").startswith(str(folder))
    ]


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def once(condition: Callable[[], object], then: Callable[[], object]) -> Iterator[None]:
    """Meanwhile, do something in another thread as soon as the condition holds. What fails there fails here."""

    def wait() -> None:
        wait_until(condition)
        then()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        yield
    waiting.result()


def still_in(folder: Path) -> list[psutil.Process]:
    """Those that are left a moment after they were told to go."""
    deadline = time.monotonic() + 5
    while (alive := workers_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def execute(launcher: Launcher, faults: str, *layers: str, timeout_s: float = 60.0) -> Any:
    spec = RunSpec(
        layers, ("full",), 1, 0, WorkloadSpec(data=faults, module="fake_workload"), WINDOW, trial_timeout_s=timeout_s
    )
    device = read(Device, {"device": "cpu", "torch": "2", "torch_threads": 1})
    return trial_executor(launcher, spec, device)(TrialSpec("key", layers, 1, 0), launcher.work / "trial.log").result

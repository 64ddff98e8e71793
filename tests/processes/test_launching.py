"""Real worker processes around a fake system: crashes, hangs, kills, and nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import TESTS

from m2bench.processes.client import Launcher
from m2bench.processes.environment import worker_environment
from m2bench.records.description import Device
from m2bench.records.documents import read
from m2bench.records.errors import UserError, WorkerError
from m2bench.records.results import Failure, TrialResult
from m2bench.records.spec import RunSpec, TrialSpec, WindowSpec, WorkloadSpec
from m2bench.run.describe import describe
from m2bench.run.trials import trial_executor

WINDOW = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=3)


@pytest.fixture(autouse=True)
def fake_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    with Launcher(tmp_path, tmp_path / "launcher.log") as started:
        yield started
    assert still_in(tmp_path) == []


def working_in(folder: Path) -> list[psutil.Process]:
    """Processes that work in the folder."""
    here = [p for p in psutil.process_iter(["cwd", "status"]) if p.info["cwd"] == str(folder)]
    return [p for p in here if p.info["status"] != psutil.STATUS_ZOMBIE]


def still_in(folder: Path) -> list[psutil.Process]:
    """Those that are left a moment after they were told to go."""
    deadline = time.monotonic() + 5
    while (alive := working_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def execute(launcher: Launcher, faults: str, *layers: str, timeout_s: float = 60.0) -> Any:
    spec = RunSpec(
        layers, ("full",), 1, 0, WorkloadSpec(data=faults, module="fake_workload"), WINDOW, trial_timeout_s=timeout_s
    )
    device = read(Device, {"device": "cpu", "torch": "2", "torch_threads": 1})
    return trial_executor(launcher, spec, device)(TrialSpec("key", layers, 1, 0), launcher.work / "trial.log").result


def test_a_result_comes_back_and_the_prints_go_to_the_log(launcher: Launcher) -> None:
    outcome = execute(launcher, "", "batching")
    assert len(outcome.update_s) >= 3  # more where the machine is busy and their mean is not known well
    assert outcome.episodes_per_update == 16
    assert "a worker's print" in (launcher.work / "trial.log").read_text()


def test_prints_that_look_like_results_change_nothing(launcher: Launcher) -> None:
    assert isinstance(execute(launcher, "amp=print", "amp"), TrialResult)


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("crash", "error", "RuntimeError: planted crash"),
        ("diverge", "not finite", "FloatingPointError: update 1: the gradient of weight is not finite"),
        ("kill", "died", "killed by SIGKILL"),
        ("exit", "died", "exit code 7"),
        ("hang", "timeout", "no result after 1.5 s"),
    ],
)
def test_a_trial_that_goes_wrong_is_a_result_and_the_next_one_runs(
    fault: str, kind: str, message: str, launcher: Launcher
) -> None:
    outcome = execute(launcher, f"amp={fault}", "amp", timeout_s=1.5 if fault == "hang" else 60.0)
    assert isinstance(outcome, Failure)
    assert outcome.kind == kind
    assert message in outcome.text
    assert isinstance(execute(launcher, f"amp={fault}", "batching"), TrialResult)


def test_the_log_of_a_crash_has_the_traceback(launcher: Launcher) -> None:
    execute(launcher, "amp=crash", "amp")
    log = (launcher.work / "trial.log").read_text()
    assert "Traceback" in log
    assert "with a second line" in log


def test_what_a_worker_leaves_running_is_ended(launcher: Launcher) -> None:
    assert isinstance(execute(launcher, "amp=orphan", "amp"), TrialResult)
    assert isinstance(execute(launcher, "", "amp"), TrialResult)
    workers = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    assert len(workers) == 1  # the launcher itself


@pytest.mark.parametrize("wait", [True, False])
def test_a_launcher_that_was_killed_is_replaced(wait: bool, launcher: Launcher) -> None:
    execute(launcher, "", "amp")
    assert launcher._process is not None
    launcher._process.kill()
    if wait:
        launcher._process.wait()
    assert execute(launcher, "", "amp") == Failure("died", "the launcher of the worker died")
    assert isinstance(execute(launcher, "", "amp"), TrialResult)


def test_a_result_that_cannot_be_read_is_said(launcher: Launcher) -> None:
    request = {"workload": asdict(WorkloadSpec(module="fake_workload"))}
    with pytest.raises(WorkerError, match="TrialResult has no setup_s"):
        launcher.run("describe", request, TrialResult, launcher.work / "trial.log", 60.0)


def test_what_the_user_can_put_right_is_said_as_such(launcher: Launcher) -> None:
    with pytest.raises(UserError, match=r"the data is bad, row 7\. Correct it\."):
        describe(launcher, WorkloadSpec(data="bad", module="fake_workload"), launcher.work)


def test_a_module_that_is_not_there_is_said(launcher: Launcher) -> None:
    with pytest.raises(UserError, match="No module named 'nowhere'"):
        describe(launcher, WorkloadSpec(module="nowhere"), launcher.work)


def test_workers_get_a_fixed_part_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    environment = worker_environment(tmp_path)
    assert "SECRET_TOKEN" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")

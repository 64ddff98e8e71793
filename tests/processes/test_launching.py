"""Real worker processes around a fake system: crashes, hangs, kills, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from launched import execute, still_in, workers_of
from prepared_launcher import prepare
from repository import ROOT, SUPPORT

from m2bench.errors import UserError, WorkerError
from m2bench.processes.client import Launcher
from m2bench.processes.environment import worker_environment
from m2bench.processes.job_requests import DescribeJob
from m2bench.records.results import Failure, TrialResult
from m2bench.records.spec import WorkloadSpec
from m2bench.run.describe import describe


@pytest.fixture(autouse=True)
def fake_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    with Launcher(tmp_path, tmp_path / "launcher.log") as started:
        yield started
    assert still_in(tmp_path) == []


@pytest.fixture
def quick(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """One that starts at once, and does the same from there on."""
    prepare(monkeypatch)
    return launcher


def test_a_result_comes_back_and_the_prints_go_to_the_log(tmp_path: Path) -> None:
    """Of the code that a side of a check has for its own."""
    code = tmp_path / "side" / "m2bench"
    code.mkdir(parents=True)
    for part in (*(ROOT / "m2bench").iterdir(), ROOT / "baselines", ROOT / "optimizations"):
        (code / part.name).symlink_to(part)
    with Launcher(tmp_path, tmp_path / "launcher.log", {"PYTHONPATH": f"{code.parent}:{SUPPORT}"}) as launcher:
        outcome = execute(launcher, "", "batching")
    assert len(outcome.update_s) >= 3  # more where the machine is busy and their mean is not known well
    assert outcome.episodes_per_update == 16
    printed = (tmp_path / "trial.log").read_text()
    assert "a worker's print" in printed
    assert str(code) in printed
    assert still_in(tmp_path) == []


def test_prints_that_look_like_results_change_nothing(quick: Launcher) -> None:
    assert isinstance(execute(quick, "amp=print", "amp"), TrialResult)


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
    fault: str, kind: str, message: str, quick: Launcher
) -> None:
    outcome = execute(quick, f"amp={fault}", "amp", timeout_s=1.5 if fault == "hang" else 60.0)
    assert isinstance(outcome, Failure)
    assert outcome.kind == kind
    assert message in outcome.text
    assert isinstance(execute(quick, f"amp={fault}", "batching"), TrialResult)


def test_the_log_of_a_crash_has_the_traceback(quick: Launcher) -> None:
    execute(quick, "amp=crash", "amp")
    log = (quick.work / "trial.log").read_text()
    assert "Traceback" in log
    assert "with a second line" in log


def test_what_a_worker_leaves_running_is_ended(quick: Launcher) -> None:
    assert isinstance(execute(quick, "amp=orphan", "amp"), TrialResult)
    assert isinstance(execute(quick, "", "amp"), TrialResult)
    assert quick._process is not None
    assert [process.pid for process in workers_of(quick.work)] == [quick._process.pid]


@pytest.mark.parametrize("wait", [True, False])
def test_a_launcher_that_was_killed_is_replaced(wait: bool, quick: Launcher) -> None:
    quick._start()
    assert quick._process is not None
    quick._process.kill()
    if wait:
        quick._process.wait()
    assert execute(quick, "", "amp") == Failure("died", "the launcher of the worker died")
    if wait:
        assert isinstance(execute(quick, "", "amp"), TrialResult)
    else:
        assert quick._process is None, "the next job gets a new one"


def test_a_result_that_cannot_be_read_is_said(quick: Launcher) -> None:
    job = DescribeJob(workload=WorkloadSpec(module="fake_workload"))
    with pytest.raises(WorkerError, match="TrialResult has no setup_s"):
        quick.run(job, TrialResult, quick.work / "trial.log", 60.0)


def test_what_the_user_can_put_right_is_said_as_such(quick: Launcher) -> None:
    with pytest.raises(UserError, match=r"the data is bad, row 7\. Correct it\."):
        describe(quick, WorkloadSpec(data="bad", module="fake_workload"), quick.work)


def test_a_module_that_is_not_there_is_said(quick: Launcher) -> None:
    with pytest.raises(UserError, match="No module named 'nowhere'"):
        describe(quick, WorkloadSpec(module="nowhere"), quick.work)


def test_workers_get_a_fixed_part_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    environment = worker_environment(tmp_path)
    assert "SECRET_TOKEN" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")

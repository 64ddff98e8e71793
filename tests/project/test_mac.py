"""The first run on a Mac, as far as Linux can show it: under mac_stand_in/, which says what in it is real."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import COMMAND
from launched import execute, still_in, workers_of
from made_run import description_document
from repository import ROOT, SUPPORT
from rich.console import Console

from m2bench.devices import device_speed, torch_device
from m2bench.errors import UserError
from m2bench.findings.noise import describe_conditions
from m2bench.inspect import profile, train
from m2bench.inspect.device_log import NoLog, read_device_log
from m2bench.inspect.mps_log import MpsLog
from m2bench.machine import conditions, identity, system_tools
from m2bench.machine.checks import check_machine
from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import Launcher
from m2bench.processes.job_requests import DescribeJob
from m2bench.records.description import Description
from m2bench.records.documents import read
from m2bench.records.spec import WorkloadSpec
from m2bench.run import run_ablation
from m2bench.run.describe import describe, show_remarks
from m2bench.store.results_database import Store
from m2bench.text.console import plain_console

STAND_IN = ROOT / "tests" / "mac_stand_in"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Mac needs no stand-in")


def on_a_mac(kind: str = "mps", more: Path = SUPPORT) -> dict[str, str]:
    """What a command finds in its environment on the stand-in; ``more``: another folder of modules."""
    return {
        "PYTHONMACSTANDIN": kind,
        "PATH": f"{STAND_IN / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{STAND_IN}:{SUPPORT}:{more}",
        "OMP_NUM_THREADS": "1",
    }


def m2bench(*arguments: str, cwd: Path, kind: str = "mps", more: Path = SUPPORT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], cwd=cwd, env={**os.environ, **on_a_mac(kind, more)}, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """Whoever uses it enters it."""
    for name, value in on_a_mac().items():
        monkeypatch.setenv(name, value)
    return Launcher(tmp_path, tmp_path / "launcher.log")


@pytest.mark.slow
def test_an_ablation_runs_from_end_to_end(tmp_path: Path) -> None:
    layers = ("--layers", "compile,dataloader", "--design", "stack")
    short = ("--learning", "off", "--episode-length", "8", "--quick", "--blocks", "1")
    done = m2bench("ablate", *layers, *short, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1] == "Report: run/report.html"
    assert "\x1b" not in done.stdout  # no colours, no progress where nobody watches
    summary: dict[str, Any] = json.loads((tmp_path / "run" / "summary.json").read_text())
    told = {name: summary["machine"][name] for name in ("device", "device_name", "device_cores", "chip", "macos_build")}
    assert told == {
        "device": "mps", "device_name": "Apple M2", "device_cores": 8, "chip": "Apple M2", "macos_build": "24A335"
    }  # fmt: skip
    assert [combination["layers"] for combination in summary["combinations"]][-1] == ["compile", "dataloader"]
    for combination in summary["combinations"]:
        assert (combination["status"], combination["numerics"]) == ("ok", "same"), combination
        assert combination["peak_memory_mb"] == 2.0
        # A quarter of the time, as far as the moments of its readings are known.
        assert combination["utilization"] == pytest.approx(0.25, abs=0.1)
    assert summary["noise"]["conditions"]["power"] == ["mains"]
    assert summary["noise"]["conditions"]["thermal"] == ["nominal"]
    with Store.open(tmp_path / "run") as store:
        description, trials = store.record().description, list(store.trials())
    (both,) = [trial for trial in trials if len(trial.spec.layers) == 2]
    proofs = both.timed.proofs
    assert proofs["compile"].evidence["backend"] == "aot_eager"
    assert len(proofs["dataloader"].evidence["worker_processes"]) == 4
    assert both.conditions is not None
    assert both.conditions.telemetry is not None
    assert both.conditions.telemetry.device_share_of_everybody == pytest.approx(0.16)
    # What the doctor says of this machine and of what was seen of it.
    checks = check_machine(description, description.layers, describe_conditions(trials), 0.02, tmp_path)
    found = {(check.name, check.state): check.found for check in checks}
    assert found["device", "ok"] == "mps Apple M2"
    assert found["power", "ok"] == "mains"
    assert found["heat", "ok"] == "nominal"
    assert found["layers", "ok"].startswith("11 of 13 can run")


@pytest.mark.slow
def test_a_profile_reads_the_log_of_the_device(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per update the stand-in logs 100 products of 0.01 ms and 10 draws of 0.02 ms; an update is one episode here.

    With one pair of processes, asked from here: the command has more. The log of the second side is refused.
    """
    folder, console = launcher.work / "run", plain_console(width=200, file=io.StringIO())

    def read_one(*asked: Any) -> MpsLog | NoLog:
        return read_device_log(*asked) if () in asked else NoLog("planted")

    monkeypatch.setattr(profile, "read_device_log", read_one)
    spec, pair = WorkloadSpec(options={"episode_length": 8}), profile.Pair((), ("amp",), seconds=0.1, pairs=1)
    profile.profile_pair(spec, pair, 0, folder, None, console)
    found = json.loads((folder / "profile.json").read_text())
    assert found["before"]["device_log"]["operations"] == {
        "aten::addmm": [100.0, pytest.approx(1.0)],
        "argmax": [10.0, pytest.approx(0.2)],
    }
    assert isinstance(console.file, io.StringIO)
    assert "torch.profiler has no MPS activity" in console.file.getvalue()
    assert "The device's own log of after is not available: planted." in console.file.getvalue()


@pytest.mark.slow
def test_an_audit_runs(tmp_path: Path) -> None:
    done = m2bench("audit", "--target", "mps", "--layers", "amp", "--episode-length", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing blocks training on mps" in done.stdout


def test_a_gpu_that_cannot_be_used_is_not_passed_over_in_silence(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONMACSTANDIN", "broken-mps")
    with launcher:
        described = describe(launcher, WorkloadSpec(), launcher.work)
    assert described.device.device == "cpu"
    console = plain_console(width=200, file=io.StringIO())
    show_remarks(described, console)
    assert isinstance(console.file, io.StringIO)
    warning = " ".join(console.file.getvalue().split())
    assert warning.startswith(
        "Warning: --device auto takes the cpu and not this Mac's GPU: torch finds MPS, but nothing"
    )
    assert "MPS backend out of memory" in warning


def ones_of(value: float) -> Callable[..., torch.Tensor]:
    """In place of torch.ones on a device that is not here."""
    return lambda *size, device: torch.full(size, value)


def no_room(*size: int, device: str) -> torch.Tensor:
    raise RuntimeError("MPS backend out of memory (max allowed: 7.93 GB)\nand a hint")


@pytest.mark.parametrize(
    ("ones", "why"),
    [
        (ones_of(1.0), None),
        (ones_of(1.01), "torch finds MPS, but a product of ones is wrong there"),
        (
            no_room,
            "torch finds MPS, but nothing can be computed there (MPS backend out of memory (max allowed: 7.93 GB))",
        ),
    ],
)
def test_mps_is_there_where_it_computes(
    ones: Callable[..., torch.Tensor], why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch_device, "_why_absent", torch_device._why_absent.__wrapped__)
    assert torch_device._why_absent("mps") == why
    assert (torch_device.resolve_device("auto").type == "mps") is (why is None)


def test_a_device_with_little_room_still_tells_its_peak(monkeypatch: pytest.MonkeyPatch, cpu: torch.device) -> None:
    """An allocator gives a virtual GPU less than a matrix of 512 x 512."""
    full = torch.full

    def little(size: tuple[int, int], value: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        return full(size, value, dtype=dtype, device=device) if size[0] < 512 else no_room(*size, device="mps")

    monkeypatch.setattr(torch, "full", little)
    assert device_speed.matmul_peak_flops(cpu) > 0
    monkeypatch.setattr(device_speed, "PEAK_SIZES", {"cpu": (512, 1024)})
    with pytest.raises(RuntimeError, match="out of memory"):
        device_speed.matmul_peak_flops(cpu)


@pytest.mark.parametrize(
    ("system", "asked", "told"), [("darwin", "auto", True), ("darwin", "cpu", False), ("linux", "auto", False)]
)
def test_only_auto_on_a_mac_has_to_say_why_it_does_not_take_the_gpu(
    system: str, asked: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(torch_device, "_why_absent", lambda name: f"no {name}")
    assert torch_device.why_not_mps(asked) == ("no mps" if told else None)


RUN = RunSpec(("amp",), ("full",), 1, 0)
BEGINS: dict[str, tuple[Any, Callable[[Path, Console], None]]] = {
    "ablate": (run_ablation, lambda folder, console: run_ablation.run_ablation(RUN, folder, False, None, 0.0, console)),
    "train": (train, lambda folder, console: train.train_combination(RUN.workload, (), 1, 0, folder, console)),
}


@pytest.mark.parametrize("command", BEGINS)
def test_a_command_warns_before_it_computes(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*anything: object) -> None:
        raise UserError("here it would begin.")

    document = description_document(("amp",))
    document["device"]["why_not_mps"] = "macOS offers none"
    described = read(Description, document)
    module, begin = BEGINS[command]
    monkeypatch.setattr(module, "describe", lambda *anything: described)
    monkeypatch.setattr(module, "choose_threads", lambda *anything: described)
    monkeypatch.setattr(run_ablation, "threads_sentence", lambda device: "")
    monkeypatch.setattr(module, "prepare", prepare)
    console = plain_console(width=200, file=io.StringIO())
    with pytest.raises(UserError, match="here it would begin"):
        begin(tmp_path / "run", console)
    assert isinstance(console.file, io.StringIO)
    assert "Warning: --device auto takes the cpu and not this Mac's GPU: macOS offers none." in console.file.getvalue()


def test_a_data_loading_process_imports_neither_the_worker_nor_the_compiler(launcher: Launcher) -> None:
    with launcher:
        job = DescribeJob(workload=WorkloadSpec(module="spawning_workload"))
        found = launcher.run(job, Description, launcher.work / "describe.log", 60.0).result
    assert isinstance(found, Description)
    imported = {*found.system.facts}
    assert "spawning_workload" in imported
    assert not imported & {"m2bench.worker.job_handlers", "torch", "torch._dynamo"}


def test_a_killed_launcher_leaves_no_worker(launcher: Launcher) -> None:
    """Nor what the worker has started: here a child that sleeps, beside the worker that hangs."""
    work = launcher.work
    with launcher, ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(execute, launcher, "amp=orphan,dataloader=hang", "amp", "dataloader")
        while len(workers_of(work)) < 3:
            assert not outcome.done()
            time.sleep(0.05)
        assert launcher._process is not None
        launcher._process.kill()
        assert "launcher of the worker died" in outcome.result().text
        assert still_in(work) == []


class Darwin:
    platform = "darwin"


@pytest.mark.parametrize(("folders", "chip"), [((), platform.machine()), ((str(STAND_IN / "bin"),), "Apple M2")])
def test_the_systems_tools_are_found_outside_of_the_path_or_done_without(
    folders: tuple[str, ...], chip: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A shell whose PATH lacks /usr/sbin, where sysctl and ioreg are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system_tools, "FOLDERS", folders)
    for module in (identity, conditions):
        monkeypatch.setattr(module, "sys", Darwin)
    assert identity.describe_machine().chip == chip
    power = "mains" if folders else None
    assert conditions.Watch().conditions(None).power == power

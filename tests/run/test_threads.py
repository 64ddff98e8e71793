"""The number of threads is chosen by what was timed, and every worker computes with it and waits without spinning."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from prepared_launcher import prepare
from repository import SUPPORT

from m2bench.errors import UserError
from m2bench.machine import cpu, identity
from m2bench.options.run_options import read_threads
from m2bench.processes.client import Launcher
from m2bench.processes.environment import worker_environment
from m2bench.records.description import Device, ThreadChoice, ThreadTimes
from m2bench.records.documents import read
from m2bench.records.spec import WorkloadSpec
from m2bench.run import threads
from m2bench.run.describe import describe
from m2bench.run.threads import choose_threads, fewest_fast, threads_sentence, threads_to_try

WORKLOAD = WorkloadSpec(module="fake_workload")


def measured(**update_s: list[list[float]]) -> tuple[ThreadTimes, ...]:
    return tuple(
        ThreadTimes(threads=int(name[1:]), update_s=tuple(map(tuple, each))) for name, each in update_s.items()
    )


@pytest.mark.parametrize(("cores", "expected"), [(1, [1]), (2, [1, 2]), (3, [1, 3]), (4, [1, 2, 4]), (8, [1, 4, 8])])
def test_one_thread_half_of_the_cores_and_all_of_them_are_tried(cores: int, expected: list[int]) -> None:
    assert threads_to_try(cores) == expected


def test_the_fastest_over_both_combinations_is_taken() -> None:
    # The small one takes 2x as long with four threads, the large one a quarter of the time: sqrt(2 / 4) over both.
    assert fewest_fast(measured(t1=[[1, 1], [4, 4]], t4=[[2, 2], [1, 1]])) == 4
    assert fewest_fast(measured(t1=[[1, 1], [4, 4]], t4=[[4, 4], [2, 2]])) == 1


def test_more_threads_must_gain_more_than_the_noise() -> None:
    assert fewest_fast(measured(t1=[[1.04]], t2=[[1.0]])) == 1
    assert fewest_fast(measured(t1=[[1.07]], t2=[[1.0]])) == 2


def test_one_update_that_was_held_up_decides_nothing() -> None:
    assert fewest_fast(measured(t1=[[1.0, 50.0, 1.0]], t2=[[1.5, 1.5, 1.5]])) == 1


def test_a_number_of_threads_is_a_whole_number_or_auto() -> None:
    assert read_threads("--threads", "auto") is None
    assert read_threads("--threads", "3") == 3
    for wrong in ("0", "-1", "many", "1.5", ""):
        with pytest.raises(UserError, match="--threads"):
            read_threads("--threads", wrong)


def test_cores_that_save_power_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    monkeypatch.setattr(
        identity, "answer_of", lambda *command: "4" if command[-1] == "hw.perflevel0.physicalcpu" else "8"
    )
    assert identity.fast_cores() == 4


def test_cores_that_this_process_may_not_use_are_not_counted() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert identity.fast_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_threads_sleep_while_they_wait_unless_the_shell_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    quiet = worker_environment(tmp_path)
    assert (quiet["OMP_WAIT_POLICY"], quiet["GOMP_SPINCOUNT"], quiet["KMP_BLOCKTIME"]) == ("PASSIVE", "0", "0")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert worker_environment(tmp_path)["OMP_WAIT_POLICY"] == "ACTIVE"


FREEING = """
import resource
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks = [bytes(1) * 64_000_000 for _ in range(2)]
before = faults()
for _ in range(20):
    del blocks[1]
    blocks.append(bytes(1) * 64_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_memory_that_is_freed_is_not_fetched_anew(tmp_path: Path) -> None:
    """64 MB are 15,625 pages of 4 kB, and a block of that size is mapped and given back each time by default."""

    def faults(environment: dict[str, str]) -> int:
        command = [sys.executable, "-c", FREEING]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    kept = worker_environment(tmp_path)
    by_default = {name: value for name, value in kept.items() if not name.startswith("MALLOC_")}
    assert faults(by_default) > 100 * max(faults(kept), 1)


@pytest.mark.parametrize(
    ("library", "mapped_from"), [("glibc 2.36", 2**32), ("glibc 2.35", 2**32), ("glibc 2.34", 2**25), ("musl", None)]
)
def test_blocks_are_mapped_from_the_highest_threshold_that_glibc_takes(
    library: str, mapped_from: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A higher one is refused before 2.35, and then nothing but the lowest holds: every large block is mapped."""
    monkeypatch.setattr(os, "confstr", lambda name: library)
    threshold = cpu.kept_memory().get("MALLOC_MMAP_THRESHOLD_")
    assert threshold == (None if mapped_from is None else str(mapped_from))


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    prepare(monkeypatch)
    with Launcher(tmp_path, tmp_path / "launcher.log") as started:
        yield started


# A system whose update takes 30 ms for each thread that torch uses, and tells that number.
PROBE = """
import time, torch
from m2bench.records.description import Described
from m2bench.records.documents import read
episodes_per_update = 1
def describe(spec, work):
    device = {"device": "cpu", "torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    system = {"unit": {}, "facts": {}, "no_target_because": None}
    return read(Described, {"system": system, "device": device, "layers": [], "workload": {}})
def build(spec, work, layers, seed):
    import probe
    return probe
def update():
    time.sleep(0.03 * torch.get_num_threads())
def synchronize(): pass
def close(): pass
"""


def test_workers_compute_with_the_number_that_was_measured_to_be_fastest(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    (launcher.work / "probe.py").write_text(PROBE)
    monkeypatch.setenv("PYTHONPATH", str(launcher.work))
    monkeypatch.setattr(threads, "fast_cores", lambda: 4)
    workload = WorkloadSpec(module="probe")
    launcher.threads = 3
    description = describe(launcher, workload, launcher.work)
    assert description.device.torch_threads == 3
    device = choose_threads(launcher, description, workload, (), None, launcher.work).device
    assert device.threads_chosen is not None
    found = {each.threads: each.update_s[0] for each in device.threads_chosen.measured}
    assert all(min(seconds) >= 0.03 * number for number, seconds in found.items())
    assert sorted(found) == [1, 2, 4]
    assert (launcher.threads, device.torch_threads, device.facts["torch_threads"]) == (1, 1, 1)
    assert describe(launcher, workload, launcher.work).device.torch_threads == 1


def test_the_number_asked_for_is_taken_without_measuring(launcher: Launcher) -> None:
    description = describe(launcher, WORKLOAD, launcher.work)
    device = choose_threads(launcher, description, WORKLOAD, (), 5, launcher.work).device
    assert (launcher.threads, device.torch_threads) == (5, 5)
    assert device.threads_chosen == ThreadChoice(asked=5, measured=(), failure=None)
    assert not (launcher.work / "threads.log").exists()


def test_a_trainer_that_fails_is_left_to_its_trials(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "fast_cores", lambda: 2)
    description = describe(launcher, WORKLOAD, launcher.work)
    broken = replace(WORKLOAD, data="=crash")
    device = choose_threads(launcher, description, broken, (), None, launcher.work).device
    assert device.torch_threads == 1
    assert "planted crash" in threads_sentence(device)


def test_what_was_chosen_is_said() -> None:
    timed = ThreadChoice(asked="auto", measured=measured(t1=[[1.0]], t2=[[1.5]]), failure=None)
    facts = {"device": "cpu", "torch": "2", "torch_threads": 1, "thread_waiting": "passive"}
    device = replace(read(Device, facts), threads_chosen=timed)
    assert threads_sentence(device) == "Every trial uses 1 thread: 2 took 1.50x as long."
    device = replace(device, torch_threads=2, threads_chosen=ThreadChoice(asked=2, measured=(), failure=None))
    assert threads_sentence(device) == "Every trial uses 2 threads that wait without spinning: as asked."
    device = replace(device, torch_threads=1, threads_chosen=ThreadChoice(asked="auto", measured=(), failure=None))
    assert threads_sentence(device) == "Every trial uses 1 thread: the only fast core."

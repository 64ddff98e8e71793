"""Runs on several machines: whole mini-blocks on one machine, kinds apart, and what happens when something dies."""

from __future__ import annotations

import _thread
import json
import shlex
import shutil
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from commands import typed
from distributed import Client
from launched import once, still_in, wait_until, workers_of
from machines import Machines, hold
from psutil import Process
from repository import PAGES, ROOT, commands_of

from m2bench.errors import UserError
from m2bench.findings.responses import speed_effects
from m2bench.fleet import cluster, machine_session, parent
from m2bench.fleet.cluster import Cluster, Machine
from m2bench.plan.designs import shares_of
from m2bench.store.fleet import events_of, folders_of_kinds
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

ASKED = ("--workload", "fake_workload", "--quick", "--threads", "1", "--layers", "amp,batching", "--design", "full")
ADDRESS = "tcp://mini.local:8786"
FIRST, OTHER = "a-chip", "other-chip"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "LOOK_S", 0.2)


def trials_of(run: Path, kind: str) -> list[StoredTrial]:
    """All that are stored of a kind of machine, by the beginning of its name; none where it has not begun."""
    for name, folder in folders_of_kinds(run).items():
        if name.startswith(kind):
            with suppress(UserError), Store.open(folder) as store:  # it is just being begun
                return store.attempts()
    return []


def ablate(machines: Machines, *asked: str, cwd: Path) -> CompletedProcess[str]:
    return typed("ablate", *asked, "--scheduler", machines.scheduler, cwd=cwd)


def assert_whole(run: Path, kind: str, blocks: int) -> None:
    """Every planned trial counts once, those of a mini-block ran on one machine, and kinds do not mix."""
    (folder,) = (folder for name, folder in folders_of_kinds(run).items() if name.startswith(kind))
    with Store.open(folder) as store:
        record, counted = store.record(), store.trials()
    planned = shares_of(record.spec)
    speed = [trial for trial in counted if trial.spec.kind == "speed"]
    by_share: dict[tuple[int, ...], set[str | None]] = defaultdict(set)
    for trial in speed:
        assert trial.conditions is not None
        by_share[trial.spec.mini_blocks].add(trial.conditions.machine)
        assert trial.log is not None
        assert (folder / trial.log).stat().st_size, "the log was written on the machine"
    assert {t.spec.repeats or t.spec.key for t in speed} == {t.key for share in planned.values() for t in share}
    assert len(planned) == len(by_share) == blocks
    assert {len(names) for names in by_share.values()} == {1}


def test_a_machine_that_dies_loses_nothing_and_kinds_stand_apart(machines: Machines, tmp_path: Path) -> None:
    for name, chip in (("a", "a chip"), ("b", "a chip"), ("c", "other chip")):
        machines.start(name, chip=chip)
    machines.start("old", digest="another")
    machines.start("bare", without_m2bench=True)
    run = tmp_path / "run"

    def of_b() -> list[StoredTrial]:
        return [t for t in trials_of(run, FIRST) if t.conditions and t.conditions.machine == "b"]

    with once(of_b, lambda: machines.kill("b")):
        done = ablate(machines, *ASKED, "--blocks", "3", "--learning", "off", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [(event.machine, event.text) for event in events_of(run)]
    assert any(machine == "b" and text.startswith("gave up") for machine, text in told)
    assert any("its m2bench is not the same as here" in text for _, text in told)
    assert any("there is no m2bench" in text for _, text in told)
    for kind in (FIRST, OTHER):
        assert_whole(run, kind, 3)
    text = (run / "report.md").read_text()
    assert all(name in text for name in folders_of_kinds(run))
    assert "gave up" in text
    assert (run / "charts" / "layers-across.svg").exists()
    assert json.loads((run / "summary.json").read_text())["runs"] == [*folders_of_kinds(run)]
    aside = [trial for trial in trials_of(run, FIRST) if trial.spec.set_aside]
    assert {trial.conditions.machine for trial in aside if trial.conditions} == {"b"}
    assert {t.conditions.machine for t in trials_of(run, OTHER) if t.conditions} == {"c"}
    for name in ("a", "c", "old", "bare"):
        machines.kill(name)
    alone = typed("ablate", *ASKED, "--blocks", "3", "--learning", "off", "--out", "alone", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    for layer in ("amp", "batching"):
        here, there = (_interval(folder, layer) for folder in (tmp_path / "alone", *_kinds(run, FIRST)))
        assert here[0] <= there[1], layer
        assert there[0] <= here[1], layer


def _kinds(run: Path, kind: str) -> list[Path]:
    return [folder for name, folder in folders_of_kinds(run).items() if name.startswith(kind)]


def _interval(folder: Path, layer: str) -> tuple[float, float]:
    with Store.open(folder) as store:
        effect = speed_effects(store.record().spec, store.trials()).alone(layer)
    assert effect is not None
    assert effect.interval is not None
    return effect.interval


def test_a_scheduler_that_goes_and_other_machines_when_resumed(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored stays; the rest is done by a machine that was not there before, learning trials among it."""
    machines.start("d")
    run = tmp_path / "run"
    killing = once(lambda: len(trials_of(run, FIRST)) >= 2, lambda: machines.kill("scheduler"))
    with monkeypatch.context() as patch, killing:
        patch.setattr(parent, "PATIENCE_S", 10.0)
        patch.setattr(cluster, "CONNECT_S", 1.0)
        done = ablate(machines, *ASKED, "--blocks", "2", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "no machine is left for a-chip" in done.stderr
    assert "--resume" in done.stderr
    before = trials_of(run, FIRST)
    assert typed("ablate", "--resume", "run", cwd=tmp_path).stderr.startswith("error: run is a run on several machines")
    machines.start_scheduler()
    machines.start("e")
    done = ablate(machines, "--resume", "run", "--more-blocks", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_whole(run, FIRST, 3)
    after = trials_of(run, FIRST)
    assert [trial.started for trial in after[: len(before)]] == [trial.started for trial in before]
    learned = [trial for trial in after if trial.spec.kind == "learning"]
    assert learned
    assert {trial.conditions.machine for trial in learned if trial.conditions} == {"e"}
    assert typed("report", "run", cwd=tmp_path).returncode == 0


def test_a_reader_of_the_page_can_type_its_commands(machines: Machines, tmp_path: Path) -> None:
    """With two layers of a system whose updates take milliseconds, and one block."""
    for command in commands_of(PAGES[ROOT / "docs" / "several-machines.md"]):
        words = shlex.split(command.replace(ADDRESS, machines.scheduler))
        if "--hosts" in words:  # test_hosts.py
            continue
        if words[0] == "dask":
            assert words[1] == "scheduler" or ADDRESS in command
            machines.start("reader") if words[1] == "worker" else None
            continue
        if "--all" in words:
            words[words.index("--blocks") + 1] = "1"
            words += [*ASKED[:-2], "--learning", "off"]
        for missing in [word for word in words if word.startswith("reports/") and words[1] != "ablate"][:3]:
            (kind,) = folders_of_kinds(tmp_path / "reports" / "fleet").values()
            shutil.copytree(kind, tmp_path / missing)
        done = typed(*words[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert_whole(tmp_path / "reports" / "fleet", FIRST, 1)
    assert "What pays where" in (tmp_path / "reports" / "side-by-side" / "report.md").read_text()
    machines.kill("reader")


def test_an_interruption_leaves_nothing_running(machines: Machines, tmp_path: Path) -> None:
    machines.start("f")
    run = tmp_path / "run"
    at_work: list[str] = []

    def interrupt() -> None:
        at_work.extend(_sessions(workers_of(machines.folder)))
        _thread.interrupt_main()

    with once(lambda: trials_of(run, FIRST), interrupt):
        done = ablate(machines, *ASKED, "--blocks", "50", "--out", "run", cwd=tmp_path)
    assert done.returncode == 130
    assert f"--resume run --scheduler {machines.scheduler}" in done.stderr
    assert at_work, "there was something to end"
    assert not _sessions(still_in(machines.folder))


def _sessions(processes: list[Process]) -> list[str]:
    """The folders of the sessions that processes belong to."""
    return [process.info["cwd"] for process in processes if "m2bench-" in process.info["cwd"]]


def test_two_workers_of_one_machine_measure_one_at_a_time(machines: Machines, tmp_path: Path) -> None:
    """One of them is asked. What asks both all the same waits, however many threads and runs they have."""
    for name in ("g", "h"):
        machines.start(name, host="one", threads=4)
    with Cluster(machines.scheduler) as one, Cluster(machines.scheduler) as other, ThreadPoolExecutor(4) as pool:
        found = {machine.name: machine for cluster in (one, other) for machine in cluster.look()}
        wait_until(lambda: "one" in found or found.update({each.name: each for each in one.look()}), 20)
        assert len([name for name in found if name.startswith("one")]) == 1, "one of the two workers is asked"
        with Client(machines.scheduler, set_as_default=False) as client:
            of_host = {worker: identity.host for worker, identity in client.run(machine_session.identify).items()}
            both = [Machine(worker, worker) for worker, host in of_host.items() if host == "one"]
            client.run(machine_session.offer, workers=[machine.worker for machine in both])
        assert len(both) == 2
        wait_until(lambda: [cluster.look() for cluster in (one, other)] and all(map(other.has, both)), 20)
        held = [
            pool.submit(cluster.ask, machine, hold, tmp_path / "at-work")
            for machine in both
            for cluster in (one, other)
        ]
        assert [each.result() for each in held] == [None] * 4


def test_a_plan_has_the_mini_blocks_that_are_handed_out(tmp_path: Path) -> None:
    """64 combinations are 8 mini-blocks of 8, of which one has the baseline; each with a baseline before and after."""
    done = typed("ablate", "--all", "--blocks", "1", "--scheduler", ADDRESS, "--dry-run", cwd=tmp_path)
    assert f"{63 + 2 * 8} trials" in done.stdout, done.stderr


def test_a_market_that_no_machine_has_is_named(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "PATIENCE_S", 0.1)
    machines.start("i")
    done = ablate(machines, "--quick", "--layers", "amp", "--data", "gone.csv", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "i: left out: " in done.stdout
    assert "gone.csv" in done.stdout
    assert done.stderr.startswith("error: no machine takes part")
    machines.kill("i")


def test_what_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.3)
    done = typed("ablate", *ASKED, "--scheduler", "tcp://127.0.0.1:1", cwd=tmp_path)
    assert (done.returncode, "no Dask scheduler answers at tcp://127.0.0.1:1" in done.stderr) == (1, True)
    assert not [*tmp_path.iterdir()]
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = typed("ablate", *ASKED, "--scheduler", "tcp://127.0.0.1:1", cwd=tmp_path)
    assert done.stderr.rstrip().endswith("Install it with: pip install 'm2bench[fleet]'")

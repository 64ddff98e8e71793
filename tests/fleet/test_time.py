"""What machines do at unlike times: one joins late, one is slow, one sleeps, and two runs want the same ones."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from distributed.config import config
from launched import wait_until
from machines import Machines
from made_run import FACTORS
from rich.console import Console
from timed_machines import DIARY

from m2bench.findings.responses import speed_effects
from m2bench.fleet import parent
from m2bench.fleet.cluster import Cluster
from m2bench.fleet.parent import run_fleet
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.store.fleet import events_of, folders_of_kinds
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

LAYERS = ("amp", "batching")
pytestmark = pytest.mark.timeout(90)


def asked(blocks: int) -> RunSpec:
    """Each block is one mini-block of five trials."""
    return RunSpec(LAYERS, ("full",), blocks, seed=0, learning="off", mini_blocks_apart=True)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("machines")) as found:
        found.start_scheduler(ttl_s=5)
        yield found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "LOOK_S", 0.1)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as found:
        yield found


def run(machines: Machines, folder: Path, blocks: int) -> None:
    run_fleet(asked(blocks), folder, False, nullcontext(machines.scheduler), 0.0, Console(file=StringIO()))


def store_of(folder: Path) -> Store:
    (kind,) = folders_of_kinds(folder).values()
    return Store.open(kind)


def attempts_of(folder: Path) -> list[StoredTrial]:
    with store_of(folder) as store:
        return store.attempts()


def machine_of(trial: StoredTrial) -> str:
    assert trial.conditions is not None
    assert trial.conditions.machine is not None
    return trial.conditions.machine


def assert_whole(folder: Path, blocks: int) -> Counter[str]:
    """All planned trials count, once, each block on one machine; how many blocks each machine ran."""
    with store_of(folder) as store:
        counted = store.trials()
    assert sorted(trial.spec.key for trial in counted) == sorted(trial.key for trial in make_trials(asked(blocks)))
    machines = defaultdict(set)
    for trial in counted:
        machines[trial.spec.block].add(machine_of(trial))
    assert all(len(names) == 1 for names in machines.values())
    return Counter(name for (name,) in machines.values())


def has_stored(folder: Path, number: int) -> bool:
    return bool(folders_of_kinds(folder)) and len(attempts_of(folder)) >= number


def until(done: Future[None], folder: Path, number: int) -> None:
    wait_until(lambda: done.done() or has_stored(folder, number))


def test_a_machine_that_stays_is_there_at_every_look(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile Dask asks its scheduler something itself, and far more often than by its defaults."""
    machines.start("here", trial_s=0.0)
    monkeypatch.setitem(config["distributed"]["client"], "scheduler-info-interval", "1ms")
    with Cluster(machines.scheduler) as cluster:
        (found,) = next(filter(None, iter(cluster.look, None)))
        assert [cluster.look() for _ in range(200)] == [[]] * 200
        assert cluster.has(found)
    machines.kill("here")


def test_a_machine_that_joins_late_gets_blocks(machines: Machines, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    machines.start("early", trial_s=0.1)
    done = pool.submit(run, machines, tmp_path / "run", 20)
    until(done, tmp_path / "run", 3)
    machines.start("late", trial_s=0.1)
    done.result()
    blocks = assert_whole(tmp_path / "run", 20)
    assert {*blocks} == {"early", "late"}
    for name in blocks:
        machines.kill(name)


def test_a_slow_machine_of_the_same_kind_biases_no_comparison(machines: Machines, tmp_path: Path) -> None:
    """It is ten times slower in everything, so its trials are compared with its own alone."""
    machines.start("fast", trial_s=0.03)
    machines.start("slow", trial_s=0.3)
    run(machines, tmp_path / "run", 12)
    blocks = assert_whole(tmp_path / "run", 12)
    assert 1 <= blocks["slow"] <= 3, "blocks go to who is free"
    with store_of(tmp_path / "run") as store:
        effects = speed_effects(store.record().spec, store.trials())
    for layer in LAYERS:
        found = effects.alone(layer)
        assert found is not None
        assert abs(math.log(found.ratio / FACTORS[layer])) < 0.03
    for name in blocks:
        machines.kill(name)


def test_a_machine_that_sleeps_and_wakes_up_has_nothing_stored_twice(
    machines: Machines, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    """Its block is run whole by the other one, which is still at work when it wakes up."""
    folder = tmp_path / "run"
    machines.start("awake", trial_s=0.1)
    machines.start("sleepy", trial_s=0.1)
    done = pool.submit(run, machines, folder, 24)
    until(done, folder, 1)
    wait_until(lambda: any(machine_of(trial) == "sleepy" for trial in attempts_of(folder)))
    machines.sleep("sleepy")
    wait_until(lambda: any(event.machine == "sleepy" and "lost" in event.text for event in events_of(folder)), 30)
    assert not done.done()
    machines.wake("sleepy")
    done.result()
    assert_whole(folder, 24)
    of_sleepy = [trial.spec for trial in attempts_of(folder) if machine_of(trial) == "sleepy"]
    aside = [trial for trial in of_sleepy if trial.set_aside]
    assert len({trial.block for trial in aside}) == 1, "the one that it was at"
    assert Counter(trial.block for trial in of_sleepy if not trial.set_aside).keys().isdisjoint({aside[0].block})
    machines.kill("awake")
    machines.kill("sleepy")


def test_two_runs_on_the_same_machines_take_turns(machines: Machines, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    for name in ("x", "y"):
        machines.start(name, trial_s=0.02, threads=4)
    folders = [tmp_path / "one", tmp_path / "other"]
    for done in [pool.submit(run, machines, folder, 6) for folder in folders]:
        done.result()
    for folder in folders:
        assert sum(assert_whole(folder, 6).values()) == 6
    ran = [json.loads(line) for line in (machines.folder / DIARY).read_text().splitlines()]
    for host in ("x", "y"):
        spans = sorted((begin, end) for name, _, begin, end in ran if name == host)
        assert len(spans) > 10, "both runs used both machines"
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans)), "one trial at a time"

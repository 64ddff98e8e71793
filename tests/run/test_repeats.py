"""Trials under load are run again at the end of their block, chosen by the load alone; and waiting for its end."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from made_run import description_document, make_record, result

from m2bench.machine.conditions import Watch, are_disturbed
from m2bench.machine.cpu import busy_from, spent_cpu_s
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.plan.remaining import remaining_trials
from m2bench.records.results import Conditions
from m2bench.records.spec import TrialSpec
from m2bench.run import quiet
from m2bench.run.progress import RunProgress as Progress
from m2bench.run.quiet import Quiet
from m2bench.run.trials import Watched, run_trials
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial, settled
from m2bench.text.console import plain_console

SPEC = RunSpec(("a", "b"), ("full",), blocks=2, seed=0, learning="off")
DOCUMENT = description_document(SPEC.layers)
DOCUMENT["workload"]["target"] = None
RECORD = make_record(SPEC, DOCUMENT)
QUIET, BUSY = Conditions(0.01, cores=2), Conditions(0.9, cores=2)
BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"


class Machine:
    """Runs trials beside planned loads: ``loads`` by the trial's key, the others in quiet."""

    def __init__(
        self, folder: Path, loads: dict[str, float], is_quiet: bool = True, speeds: dict[str, float] | None = None
    ):
        self.store = Store.create(folder, RECORD)
        self.loads = loads
        self.speeds = speeds or {}
        self.quiet = is_quiet
        self.ran: list[TrialSpec] = []

    def run(self, limit: int | None = None) -> list[str]:
        """Keys of the trials that were run, in order; at most ``limit`` of them."""
        self.ran = []

        def execute(trial: TrialSpec, log: Path) -> Watched[Any]:
            if len(self.ran) == limit:
                raise KeyboardInterrupt
            self.ran.append(trial)
            conditions = Conditions(self.loads.get(trial.key, 0.01), cores=2)
            return Watched(result(self.speeds.get(trial.key, 100.0)), conditions)

        remaining = remaining_trials(SPEC, RECORD.description, self.store.attempts, lambda: self.quiet)
        with suppress(KeyboardInterrupt):
            run_trials(remaining, {}, self.store, execute, lambda trial: None, lambda trial: None)
        return [trial.key for trial in self.ran]


PLANNED = [trial.key for trial in make_trials(SPEC)]
BLOCK = len(PLANNED) // 2


def test_a_trial_under_load_is_run_again_at_the_end_of_its_block(tmp_path: Path) -> None:
    first, second = PLANNED[1], PLANNED[BLOCK + 2]
    ran = Machine(tmp_path, {first: 0.9, second: 1.5}).run()
    assert ran == [*PLANNED[:BLOCK], f"{first}.again", *PLANNED[BLOCK:], f"{second}.again"]


def test_figures_rest_on_the_repeat_and_both_stay_stored(tmp_path: Path) -> None:
    key = PLANNED[1]
    machine = Machine(tmp_path, {key: 0.9}, speeds={key: 7.0, f"{key}.again": 70.0})
    machine.run()
    assert len(machine.store.attempts()) == len(machine.store.trials()) + 1
    (counted,) = [t for t in machine.store.trials() if key in (t.spec.key, t.spec.repeats)]
    assert (counted.spec.key, counted.spec.repeats) == (f"{key}.again", key)
    assert counted.timed.episodes_per_min == 70.0
    original = next(t for t in make_trials(SPEC) if t.key == key)
    assert (counted.spec.layers, counted.spec.seed, counted.spec.block) == (original.layers, original.seed, 1)


def test_a_repeat_belongs_to_the_moment_at_which_it_was_run(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {PLANNED[0]: 0.9})
    machine.run()
    repeat = next(trial for trial in machine.ran if trial.repeats)
    assert repeat.mini_blocks == make_trials(SPEC)[BLOCK - 1].mini_blocks


@pytest.mark.parametrize("slow", [1.0, 100.0])
def test_what_was_measured_has_no_say(slow: float, tmp_path: Path) -> None:
    """However slow a quiet trial was it is not run again; however fast a disturbed one was, it is."""
    quiet_one, busy_one = PLANNED[1], PLANNED[2]
    machine = Machine(tmp_path, {busy_one: 0.9}, speeds={quiet_one: slow, busy_one: 1e4 / slow})
    assert [key for key in machine.run() if key.endswith(".again")] == [f"{busy_one}.again"]
    assert f"{busy_one}.again" in [trial.spec.key for trial in machine.store.trials()]


def test_a_repeat_under_load_as_well_is_not_run_a_third_time_and_the_calmer_one_counts(tmp_path: Path) -> None:
    key = PLANNED[1]
    for again, counts in ((0.5, f"{key}.again"), (1.4, key)):
        machine = Machine(tmp_path / str(again), {key: 0.9, f"{key}.again": again})
        assert len(machine.run()) == len(PLANNED) + 1
        assert counts in [trial.spec.key for trial in machine.store.trials()]
        assert len(machine.store.trials()) == len(PLANNED)


def test_while_the_load_goes_on_nothing_is_run_again(tmp_path: Path) -> None:
    assert Machine(tmp_path, dict.fromkeys(PLANNED, 0.9), is_quiet=False).run() == PLANNED


@pytest.mark.parametrize("limit", [BLOCK, BLOCK + 1, BLOCK + 2])
def test_a_run_that_is_continued_does_what_it_would_have_done(limit: int, tmp_path: Path) -> None:
    loads = {PLANNED[1]: 0.9, PLANNED[3]: 0.8}
    whole = Machine(tmp_path / "whole", loads).run()
    machine = Machine(tmp_path / "parts", loads)
    assert machine.run(limit) + machine.run() == whole
    assert machine.run() == []


def test_a_block_that_is_over_is_not_come_back_to(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {PLANNED[1]: 0.9}, is_quiet=False)
    machine.run(BLOCK + 1)
    machine.quiet = True
    assert machine.run() == PLANNED[BLOCK + 1 :]


def test_trials_of_added_blocks_are_run_again_as_well_though_others_came_before_them(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {})
    machine.run()
    learned = TrialSpec("learn.a", (), 1, 0, "learning")
    machine.store.add(StoredTrial(learned, "", 1.0, "ok", None, None, None, QUIET))
    more = replace(SPEC, blocks=3)
    busy = make_trials(more)[-2]
    for trial in make_trials(more)[len(PLANNED) :]:
        machine.store.add(StoredTrial(trial, "", 1.0, "ok", None, None, None, BUSY if trial == busy else QUIET))
    following = remaining_trials(more, RECORD.description, machine.store.attempts, lambda: True)
    assert next(following).key == f"{busy.key}.again"


def test_a_trial_whose_load_is_not_known_stands_back() -> None:
    calm = StoredTrial(TrialSpec("k", (), 1, 0), "", 1.0, "ok", None, None, None, BUSY)
    unknown = StoredTrial(TrialSpec("k.again", (), 1, 0, repeats="k"), "", 1.0, "failed", "", None, None)
    assert settled([calm, unknown]) == [calm]
    better = replace(unknown, conditions=QUIET)
    assert settled([calm, better]) == [better]


@pytest.mark.parametrize(("cores", "share"), [(1, 0.2), (2, 0.1), (4, 0.05), (8, 0.05), (64, 0.05)])
def test_what_disturbs_is_a_share_of_the_cores_with_a_floor(cores: int, share: float) -> None:
    assert busy_from(cores) == pytest.approx(share * cores)
    assert are_disturbed(Conditions(1.01 * share * cores, cores=cores))
    assert not are_disturbed(Conditions(0.99 * share * cores, cores=cores))
    assert not are_disturbed(Conditions(None, cores=cores))


def test_what_this_process_and_its_tools_use_is_no_load_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of this process's CPU and half of a child's, on a machine where nothing else computes."""
    begin = spent_cpu_s()
    monkeypatch.setattr("m2bench.machine.conditions.busy_cpu_s", lambda: spent_cpu_s() - begin)
    watch = Watch()
    exec(BURN)
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert spent_cpu_s() - begin >= 1.0
    assert watch.conditions(0.0).other_cores == pytest.approx(0.0, abs=1e-3)


class Clock:
    """Seconds that pass in sleeping alone, and loads one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loads: list[float]):
        self.now = 0.0
        self.loads = loads
        monkeypatch.setattr(quiet, "time", self)
        monkeypatch.setattr(quiet, "Watch", lambda: self)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def conditions(self, own_cpu_s: float) -> Conditions:
        return Conditions(self.loads.pop(0) if len(self.loads) > 1 else self.loads[0], cores=2)


def test_it_waits_until_the_load_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [0.9, 0.8, 0.0])
    told: list[float] = []
    assert Quiet(600, told.append).is_quiet()
    assert told == [0.9, 0.8]
    assert clock.now == 3


def test_it_waits_no_longer_than_so_long_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [0.9])
    told: list[float] = []
    waiting = Quiet(5, told.append)
    assert not waiting.is_quiet()
    assert len(told) == 5
    before = clock.now
    assert not waiting.is_quiet()
    waiting.wait()
    assert clock.now == before + 1  # one look


def test_without_time_to_wait_it_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [0.9])
    assert not Quiet(0, lambda load: pytest.fail("it waits")).is_quiet()
    assert clock.now == 1


def test_who_watches_is_told_that_others_slow_the_run_down_and_that_it_waits(tmp_path: Path) -> None:
    shown = StringIO()
    console = plain_console(file=shown, force_terminal=True, width=200)
    trials = make_trials(SPEC)[:2]

    def frame() -> str:
        text = shown.getvalue()
        shown.truncate(0)
        return text

    with Progress(console, len(trials), [], wait_s=0) as progress:
        progress.ended(StoredTrial(trials[0], "", 1.0, "ok", None, None, result(100.0), BUSY))
        assert "slowed by other processes (0.9 cores busy)" in frame()
        progress.ended(StoredTrial(trials[1], "", 1.0, "ok", None, None, result(100.0), QUIET))
        assert "slowed" not in frame().rpartition("left")[2]
        progress._waits(1.2)
        assert "waiting for other processes to finish (1.2 cores busy)" in frame()

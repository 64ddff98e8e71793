"""The parent's end of a run on several machines, by machines that are made up: what it asks again, and what ends it."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from made_run import description_document, make_record, result
from rich.console import Console

from m2bench.errors import UserError
from m2bench.fleet import machine_session, parent
from m2bench.fleet.cluster import Cluster, Machine, MachineLost, Refused, Stopped
from m2bench.fleet.machine_session import Measured, Readiness
from m2bench.fleet.parent import run_fleet
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import shares_of
from m2bench.records.results import Conditions
from m2bench.records.spec import TrialSpec
from m2bench.run.trials import Watched
from m2bench.store.fleet import asked_of_fleet, begin_fleet, events_of, folders_of_kinds
from m2bench.store.folders import locked, make_folder
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

SPEC = RunSpec(("a", "b"), ("full",), 2, seed=0, learning="off", mini_blocks_apart=True)
CALM, DISTURBED = Conditions(0.0, cores=4), Conditions(4.0, cores=4)

pytestmark = pytest.mark.timeout(30)


class MadeUp(Cluster):
    """Machines by their names, each with a chip and a market of its own where these differ."""

    def __init__(self, *names: str, **documents: dict[str, Any]):
        self._coming = [Machine(name, name) for name in names]
        self._documents = documents
        self._stopped = Event()
        self.asked: list[str] = []
        self.before: Callable[[str, Any], object] = lambda name, function: None

    def __exit__(self, *exc: object) -> None:
        pass

    def look(self) -> list[Machine]:
        coming, self._coming = self._coming, []
        return coming

    def refused(self) -> dict[str, str]:
        return {}

    def end_sessions(self, run: str) -> None:
        pass

    def ask(self, machine: Machine, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.before(machine.name, function)
        record = make_record(SPEC, self._documents.get(machine.name))
        if function is machine_session.begin:
            return record.description
        if function is machine_session.make_ready:
            return Readiness(1, record.description, record.prepared, "")
        if function is machine_session.run_trial:
            self.asked.append(args[-1].key)
            return Measured(Watched(result(600), CALM), b"log")
        return None


def run(
    folder: Path,
    cluster: Cluster,
    patch: pytest.MonkeyPatch,
    spec: RunSpec = SPEC,
    resuming: bool = True,
    look_s: float = 0.02,
) -> None:
    patch.setattr(parent, "Cluster", lambda scheduler: cluster)
    patch.setattr(parent, "LOOK_S", look_s)
    patch.setattr(parent, "PATIENCE_S", 0.2)
    run_fleet(spec, folder, resuming, nullcontext("tcp://made.up:1"), 0.0, Console(file=io.StringIO()))


Stored = list[tuple[TrialSpec, Conditions]]


def begun(folder: Path, stored: Stored, spec: RunSpec = SPEC) -> Path:
    """A run whose one kind of machine has stored these trials; that kind's folder."""
    (folder / "kind" / "logs").mkdir(parents=True)
    begin_fleet(folder, spec)
    with Store.create(folder / "kind", make_record(spec)) as store:
        for trial, conditions in stored:
            store.add(StoredTrial(trial, "before", 1.0, "ok", None, None, result(600), conditions))
    return folder / "kind"


def disturbed(trial: TrialSpec) -> Stored:
    """It ran under load, and again without."""
    return [(trial, DISTURBED), (replace(trial, key=f"{trial.key}.again", repeats=trial.key), CALM)]


def test_a_trial_that_ran_again_under_less_load_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first mini-block nothing is run again, of the second, which was not finished, everything."""
    whole, partly = shares_of(SPEC).values()
    stored = [(trial, CALM) for trial in whole[1:]]
    kind = begun(tmp_path / "run", [*stored, *disturbed(whole[0]), *disturbed(partly[0])])
    cluster = MadeUp("m")
    run(tmp_path / "run", cluster, monkeypatch)
    assert cluster.asked == [trial.key for trial in partly]
    with Store.open(kind) as store:
        aside = [trial.spec for trial in store.attempts() if trial.spec.set_aside]
        assert {trial.spec.planned_key for trial in store.trials()} == {trial.key for trial in (*whole, *partly)}
    assert {trial.mini_blocks for trial in aside} == {partly[0].mini_blocks}
    assert len(aside) == 2


@pytest.mark.parametrize("learning", ["off", "full"])
def test_a_kind_that_has_done_all_needs_no_machine(
    learning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, learning=learning)
    begun(tmp_path / "run", [(trial, CALM) for share in shares_of(spec).values() for trial in share], spec)
    if learning == "off":
        run(tmp_path / "run", MadeUp(), monkeypatch, spec)
    else:
        with pytest.raises(UserError, match="no machine is left for kind"):
            run(tmp_path / "run", MadeUp(), monkeypatch, spec)


def failing(*args: object) -> None:
    """Where something is to be stored of a trial."""
    if args[-1] and "takes part" not in str(args[-1]):
        raise UserError("no room on this disk.")


@pytest.mark.parametrize(
    ("where", "name", "is_lost"),
    [
        (Store, "add", False),
        (Store, "set_aside", True),
        (parent, "add_to_log", False),
        (parent, "add_event", True),
    ],
)
def test_what_cannot_be_stored_here_ends_the_run(
    where: object, name: str, is_lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the machine; and no other machine waits for what it was at."""
    cluster = MadeUp("one", "other")
    trials, both_at_work = Counter[str](), Barrier(2)

    def lose(machine: str, function: Any) -> None:
        trials[machine] += function is machine_session.run_trial
        if is_lost and trials[machine] == 2:
            both_at_work.wait(10)
            raise MachineLost("its worker has gone")

    cluster.before = lose
    monkeypatch.setattr(where, name, failing)
    with pytest.raises(UserError, match="no room on this disk"):
        run(tmp_path / "run", cluster, monkeypatch, resuming=False)


def test_what_a_machine_refuses_leaves_it_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = MadeUp("good", "bad")

    def refuse(machine: str, function: Any) -> None:
        if machine == "bad" and function is machine_session.begin:
            raise Refused("it has no torch.")

    cluster.before = refuse
    run(tmp_path / "run", cluster, monkeypatch, resuming=False)
    assert ("bad", "left out: it has no torch.") in [
        (event.machine, event.text) for event in events_of(tmp_path / "run")
    ]
    assert sorted(cluster.asked) == sorted(trial.key for share in shares_of(SPEC).values() for trial in share)


@pytest.mark.parametrize("look_s", [0.02, 0.5])
def test_a_part_that_nobody_finishes_is_said(look_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all of that happens between two looks."""
    fatal = next(iter(shares_of(SPEC).values()))[1].key

    class Losing(MadeUp):
        def ask(self, machine: Machine, function: Any, *args: Any, **kwargs: Any) -> Any:
            if function is machine_session.run_trial and args[-1].key == fatal:
                raise MachineLost("its worker has gone")
            return super().ask(machine, function, *args, **kwargs)

    with pytest.raises(UserError, match="could not be finished on any of several machines"):
        run(tmp_path / "run", Losing(*"abcd"), monkeypatch, resuming=False, look_s=look_s)


def test_a_session_that_begins_while_all_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_asked, sessions = Event(), list[str]()

    class Interrupted(MadeUp):
        def look(self) -> list[Machine]:
            found = super().look()
            if not found:
                is_asked.wait(10)
                raise KeyboardInterrupt
            return found

        def end_sessions(self, run: str) -> None:
            sessions.clear()

    cluster = Interrupted("m")

    def begin_late(machine: str, function: Any) -> None:
        is_asked.set()
        cluster._stopped.wait(10)
        time.sleep(0.1)
        sessions.append(machine)
        raise Stopped

    cluster.before = begin_late
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", cluster, monkeypatch, resuming=False)
    assert not sessions


@pytest.mark.parametrize("other_kind", [False, True])
def test_a_machine_with_another_trainer_is_left_out(
    other_kind: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are named, whichever machine comes first."""
    document = description_document(SPEC.layers)
    one, other = (
        document
        | {
            "workload": document["workload"] | {"sources": {"train.py": digest, "same.py": "s"}},
            "machine": document["machine"] | ({"chip": digest} if other_kind else {}),
        }
        for digest in ("one", "other")
    )
    cluster = MadeUp("one", "other", one=one, other=other)
    both = Barrier(2)
    cluster.before = lambda name, function: function is machine_session.begin and both.wait(10)
    run(tmp_path / "run", cluster, monkeypatch, resuming=False)
    (kind,) = folders_of_kinds(tmp_path / "run")
    told = [event.text for event in events_of(tmp_path / "run") if "left out" in event.text]
    assert told == [f"left out: its train.py is not the same as on {kind}. Copy the trainer's files to each machine."]


def test_two_kinds_that_begin_at_once_train_on_the_same_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = description_document(SPEC.layers)
    one, other = (
        document
        | {
            "machine": document["machine"] | {"chip": name},
            "workload": document["workload"] | {"market": {"sha256": name}},
        }
        for name in ("one", "other")
    )
    cluster, both_ready = MadeUp("one", "other", one=one, other=other), Barrier(2)
    cluster.before = lambda name, function: function is machine_session.make_ready and both_ready.wait(10)

    def make_slowly(folder: Path) -> None:
        time.sleep(0.1)
        make_folder(folder)

    monkeypatch.setattr(parent, "make_folder", make_slowly)
    run(tmp_path / "run", cluster, monkeypatch, resuming=False)
    assert len(folders_of_kinds(tmp_path / "run")) == 1
    assert ["its market is another one" in event.text for event in events_of(tmp_path / "run")].count(True) == 1


def test_what_is_asked_of_a_run_under_way_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    begun(folder, [])
    with locked(folder, folder / "lock"), pytest.raises(UserError, match="another m2bench is running"):
        run(folder, MadeUp(), monkeypatch, replace(SPEC, blocks=9))
    assert asked_of_fleet(folder) == SPEC

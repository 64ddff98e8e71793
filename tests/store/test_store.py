"""The store keeps every trial, and refuses files that are not its own."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import make_record, result

from m2bench.errors import UserError
from m2bench.options.run_spec import RunSpec
from m2bench.records.results import Conditions, CurvePoint, LearningResult, Proof, TelemetryMeans, TrialResult
from m2bench.records.spec import TrialSpec
from m2bench.store.results_database import FILE_NAME, Store
from m2bench.store.stored_trial import StoredTrial

EARLIER = Path(__file__).parents[1] / "support" / "run_of_an_earlier_version"
RECORD = make_record(RunSpec(("amp",), ("full",), 1, 0))
TRIAL = StoredTrial(
    spec=TrialSpec("b1.amp", ("amp",), 1, 0),
    started="2026-01-01T00:00:01+00:00",
    elapsed_s=3.25,
    status="ok",
    reason=None,
    log="logs/b1.amp.log",
    result=result(600.0, proofs={"amp": Proof(engaged=True, evidence={"dtype": "float16"})}),
    conditions=Conditions(0.25, power="mains", cores=2, telemetry=TelemetryMeans(own_cpu_share=0.5)),
)
LEARNING = StoredTrial(
    spec=TrialSpec("learn1.amp", ("amp",), 1, 0, "learning", 12.5),
    started="2026-01-01T00:00:02+00:00",
    elapsed_s=3.25,
    status="ok",
    reason=None,
    log="logs/learn1.amp.log",
    result=LearningResult(
        curve=(CurvePoint(8, 4, 0.5, mean_return=1.25),), episodes_per_update=4, episodes_to_target=8.0, proofs={}
    ),
)
FAILED = replace(TRIAL, spec=TrialSpec("b1.anchor0", (), 1, 0), status="failed", reason="planted", result=None)


def test_what_was_stored_is_read_back(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", RECORD) as store:
        for trial in (TRIAL, LEARNING, FAILED):
            store.add(trial)
    with Store.open(tmp_path / "run") as store:
        assert store.record() == RECORD
        assert store.trials() == [TRIAL, LEARNING, FAILED]


def test_the_documents_are_those_that_every_version_wrote(tmp_path: Path) -> None:
    with Store.create(tmp_path, RECORD) as store:
        for trial in (TRIAL, LEARNING, FAILED):
            store.add(trial)
        rows = store._connection.execute("SELECT result, conditions FROM trial ORDER BY rowid").fetchall()
    (timed, meanwhile), (learned, unwatched), (nothing, _) = [tuple(map(json.loads, row)) for row in rows]
    assert timed["gates"] == {"gradient": {"same": True, "evidence": {}, "reason": None}}
    assert timed["proofs"]["amp"] == {"engaged": True, "evidence": {"dtype": "float16"}, "reason": None}
    assert (timed["update_s"], timed["gates_s"], timed["peak_memory_mb"]) == ([0.1], 0.1, {"device": None, "host": 5.0})
    assert learned["curve"] == [{"after": 8, "episodes": 4, "train_s": 0.5, "return": 1.25}]
    assert meanwhile == {"other_cores": 0.25, "power": "mains", "low_power": None, "thermal": None, "cores": 2,
                         "telemetry": {"own_cpu_share": 0.5, "not_available": {}}}  # fmt: skip
    assert (unwatched, nothing) == ({}, {})


def test_a_run_of_an_earlier_version_is_read() -> None:
    """Of schema 5: it knows no turns and no number of cores, and tells the CPU's share of all processes."""
    with Store.open(EARLIER) as store:
        record, trials = store.record(), store.trials()
    first = trials[0]
    assert (record.description.device.thread_waiting, record.prepared.device_faults) == (None, None)
    claim = record.description.layers[0].claim
    assert claim is not None
    assert claim.memory is None
    assert first.timed.turn_updates == ()
    assert first.conditions is not None
    assert first.conditions.cores == 1
    assert first.conditions.telemetry is not None
    assert first.conditions.telemetry.own_cpu_share is None
    assert first.conditions.telemetry.cpu_share == pytest.approx(0.973, abs=1e-3)
    assert {type(trial.result) for trial in trials} == {TrialResult, LearningResult}


def test_a_damaged_document_is_said(tmp_path: Path) -> None:
    with Store.create(tmp_path, RECORD) as store:
        store.add(TRIAL)
        store._connection.execute("UPDATE trial SET result = json_remove(result, '$.update_s')")
        with pytest.raises(UserError, match="TrialResult has no update_s"):
            store.trials()


def test_a_trial_is_stored_once(tmp_path: Path) -> None:
    with Store.create(tmp_path, RECORD) as store:
        store.add(TRIAL)
        with pytest.raises(UserError, match="UNIQUE"):
            store.add(TRIAL)
        assert len(store.trials()) == 1


def test_a_second_connection_sees_each_trial_at_once(tmp_path: Path) -> None:
    with Store.create(tmp_path, RECORD) as store:
        store.add(TRIAL)
        with Store.open(tmp_path) as reader:
            assert reader.trials() == [TRIAL]


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    Store.create(tmp_path, RECORD).__exit__()
    with pytest.raises(UserError, match=r"already holds a run.*--resume"):
        Store.create(tmp_path, RECORD)


def test_a_missing_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run found"):
        Store.open(tmp_path)


def break_file(path: Path, how: str) -> None:
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a database, but long enough to be read as the head of one " * 20)
    elif how == "foreign":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.close()
    else:
        with Store.create(path.parent, RECORD):
            pass
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute({"newer": "PRAGMA user_version = 99", "no run": "DELETE FROM run"}[how])
        connection.close()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "not a results file"),
        ("text", "cannot be read"),
        ("foreign", "not a results file"),
        ("newer", "schema 99"),
        ("no run", "holds no run"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(how: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    break_file(path, how)
    with pytest.raises(UserError, match=message) as error, Store.open(tmp_path) as store:
        store.record()
    assert str(path) in str(error.value)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out"):
        Store.create(tmp_path / "file" / "run", RECORD)


def test_a_full_disk_is_said_and_loses_nothing_stored(tmp_path: Path) -> None:
    with Store.create(tmp_path, RECORD) as store:
        store.add(TRIAL)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "disk is full"
        large = StoredTrial(
            TrialSpec("b1.x", (), 1, 0), "", 1.0, "ok", None, None, result(600.0, update_s=(0.1,) * 50_000)
        )
        with pytest.raises(UserError, match="full"):
            store.add(large)
        assert store.trials() == [TRIAL]


def test_the_sweep_of_an_earlier_version_is_passed_over(tmp_path: Path) -> None:
    with Store.create(tmp_path, RECORD) as store:
        store.add(TRIAL)
        swept = json.dumps({"key": "s1.8", "layers": ["amp"], "block": 1, "seed": 0, "kind": "sweep", "num_envs": 8})
        connection = sqlite3.connect(store.path)
        connection.execute("INSERT INTO trial SELECT 's1.8', ?, started, elapsed_s, status, reason, log, result, "
                           "conditions FROM trial", (swept,))  # fmt: skip
        asked = json.loads(connection.execute("SELECT spec FROM run").fetchone()[0])
        connection.execute("UPDATE run SET spec = ?", (json.dumps({**asked, "sweep": [8]}),))
        connection.commit()
        connection.close()
        assert store.record().spec == RECORD.spec
        assert store.attempts() == [TRIAL]


def test_trials_that_are_set_aside_stay_and_count_no_more(tmp_path: Path) -> None:
    """Their keys are free for another attempt, which may be set aside as well."""
    first, second, third = (replace(TRIAL, started=f"2026-01-0{day}T00:00:00+00:00") for day in (1, 2, 3))
    with Store.create(tmp_path, RECORD) as store:
        for trial in (first, second):
            store.add(trial)
            store.set_aside([trial.spec.key])
        store.add(third)
        found = store.attempts()
        assert [trial.started for trial in found] == [first.started, second.started, third.started]
        assert [trial.spec.set_aside for trial in found] == [True, True, False]
        assert len({trial.spec.key for trial in found}) == 3
        assert store.trials() == [third]
        assert replace(found[0].spec, key=third.spec.key, set_aside=False) == third.spec

"""The store keeps every trial, and refuses files that are not its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from m2bench.records.errors import UserError
from m2bench.records.spec import RunSpec, TrialSpec
from m2bench.records.trials import RunRecord, StoredTrial
from m2bench.run.store import FILE_NAME, Store

RECORD = RunRecord(RunSpec(("amp",), ("full",), 1, 0), "2026-01-01T00:00:00+00:00", {"device": {"device": "cpu"}})
TRIAL = StoredTrial(
    spec=TrialSpec("learn1.amp", ("amp",), 1, 0, "learning", 12.5),
    started="2026-01-01T00:00:01+00:00",
    elapsed_s=3.25,
    status="ok",
    reason=None,
    log="logs/learn1.amp.log",
    result={"update_s": [0.5]},
)


def test_what_was_stored_is_read_back(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", RECORD) as store:
        store.add(TRIAL)
    with Store.open(tmp_path / "run") as store:
        assert store.record() == RECORD
        assert store.trials() == [TRIAL]


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
        large = StoredTrial(TrialSpec("b1.x", (), 1, 0), "", 1.0, "ok", None, None, {"update_s": [0.1] * 50_000})
        with pytest.raises(UserError, match="full"):
            store.add(large)
        assert store.trials() == [TRIAL]

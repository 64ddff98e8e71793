"""Folders of results: what is made, and what is taken away again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from m2bench.records.errors import UserError, WorkerError
from m2bench.records.folders import open_log, refuse_unwritten, removed_if_refused, write_file, written


def ends_with(error: BaseException, folder: Path, work: Callable[[], object]) -> None:
    """Work in the folder, to be refused in the end."""
    with removed_if_refused(folder):
        work()
        raise error


def test_what_was_made_goes_and_what_others_put_there_stays(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    with pytest.raises(UserError):
        ends_with(UserError("no"), reports / "mine", (reports / "other").mkdir)
    assert [path.name for path in reports.iterdir()] == ["other"]
    with pytest.raises(KeyboardInterrupt):
        ends_with(KeyboardInterrupt(), tmp_path / "new" / "mine", (tmp_path / "new" / "mine" / "logs").mkdir)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_was_there_and_the_log_of_a_failure_stay(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        ends_with(UserError("no"), tmp_path, (tmp_path / "log").touch)
    with pytest.raises(WorkerError):
        ends_with(WorkerError("no"), tmp_path / "failed", (tmp_path / "failed" / "log").touch)
    assert (tmp_path / "log").exists()
    assert (tmp_path / "failed" / "log").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Choose a folder you may write to"):
        ends_with(KeyboardInterrupt(), tmp_path / "file" / "x", lambda: None)


def fail_half_way(path: Path, error: Exception) -> None:
    path.write_text("half")
    raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("torch's own")])
def test_a_file_that_can_be_done_without_is_whole_or_gone(error: Exception, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    assert written(path, lambda: fail_half_way(path, error)) == f"not written: {error}"
    assert not path.exists()
    assert written(path, lambda: None) == f"not written: nothing was left at {path}"
    assert written(path, lambda: path.write_text("whole")) == str(path)


def test_all_that_could_not_be_written_is_said_at_once() -> None:
    refuse_unwritten({"chart": "run/chart.png"})
    with pytest.raises(UserError, match=r"trace not written: full; flames not written: torn\. Make room"):
        refuse_unwritten({"trace": "not written: full", "chart": "run/chart.png", "flames": "not written: torn"})


def test_a_folder_that_refuses_even_to_remove_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file system does that was mounted to be read only."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("write_bytes", "unlink", "open"):
        monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(UserError, match="cannot be written: Read-only file system"):
        write_file(tmp_path / "profile.json", "{}")
    with pytest.raises(UserError, match="cannot be written: Read-only file system"):
        open_log(tmp_path / "before.log")

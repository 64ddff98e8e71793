"""Folders of results: what is made, and what is taken away again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from m2bench.errors import UserError, WorkerError
from m2bench.store.folders import removed_if_refused


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

"""Files of results: whole or not there, and what could not be written is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2bench.errors import UserError
from m2bench.records.inspected import Written
from m2bench.store.files import (
    LOG_BEGINS,
    LOG_ENDS,
    open_log,
    refuse_unwritten,
    shorten_log,
    try_to_write,
    write_file,
)


def fail_half_way(path: Path, error: Exception) -> None:
    path.write_text("half")
    raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("torch's own")])
def test_a_file_that_can_be_done_without_is_whole_or_gone(error: Exception, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    lost = try_to_write(path, lambda: fail_half_way(path, error))
    assert (lost.lost_because, str(lost)) == (str(error), f"not written: {error}")
    assert not path.exists()
    assert try_to_write(path, lambda: None).lost_because == f"nothing was left at {path}"
    whole = try_to_write(path, lambda: path.write_text("whole"))
    assert (whole.lost_because, str(whole)) == (None, str(path))


def test_all_that_could_not_be_written_is_said_at_once() -> None:
    chart = Written("run/chart.png")
    refuse_unwritten({"chart": chart})
    with pytest.raises(UserError, match=r"trace not written: full; flames not written: torn\. Free some disk space"):
        refuse_unwritten({"trace": Written("a", "full"), "chart": chart, "flames": Written("b", "torn")})


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = tmp_path / "trial.log"
    begin, middle, end = b"b" * LOG_BEGINS, b"m" * 1234, b"e" * LOG_ENDS
    for text in (begin, begin + end):
        log.write_bytes(text)
        shorten_log(log)
        assert log.read_bytes() == text
    log.write_bytes(begin + middle + end)
    shorten_log(log)
    assert log.read_bytes() == begin + b"\n[1,234 bytes are left out here]\n" + end
    shorten_log(tmp_path / "that there is not.log")


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

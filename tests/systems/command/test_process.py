"""A command as a process: how it ends, and what is kept of what it prints."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from m2bench.errors import TrainerError
from m2bench.systems.command import output as outputs
from m2bench.systems.command.output import Output
from m2bench.systems.command.process import KB_PER_MB, Ran, run_command


@pytest.fixture
def log(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def ran(log: int, *words: str, limit_s: float = 60.0, **variables: str) -> tuple[Ran, list[str], list[str]]:
    lines: list[str] = []
    errors: list[str] = []
    found = run_command(words, variables, limit_s, Output(log), lines.append, errors.append)
    return found, lines, errors


def test_lines_are_passed_on_as_they_are_meant(log: int, tmp_path: Path) -> None:
    """Without colours; a carriage return ends a line; the log has them as they came."""
    printed = "one\n\n\033[1mtwo\033[0m\r\n 1%\r 2%\nlast"
    _, lines, errors = ran(log, "sh", "-c", f"printf %s {shlex.quote(printed)}; echo oops >&2; printf '\\377\\n'")
    assert lines == ["one", "two", " 1%", " 2%", "last\N{REPLACEMENT CHARACTER}"]
    assert errors == ["oops"]
    assert b"\033[1mtwo" in (tmp_path / "log").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sh", "-c", "echo a; echo b >&2; exit 3"], r"the command ended with exit code 3; its last lines: "),
        (["sh", "-c", "kill -SEGV $$"], "the command was killed by SIGSEGV; it printed nothing"),
        (["sh", "-c", "kill -KILL $$"], r"was killed by SIGKILL \(out of memory\?\)"),
        (["sh", "-c", "(exit 137)"], "exit code 137, as a shell says of SIGKILL"),
        (["no-such-program-here"], "cannot be started: no program 'no-such-program-here'"),
        (["/dev/null"], "/dev/null: Permission denied"),
        ([sys.executable, "-c", "input('name? ')"], "EOFError"),
    ],
)
def test_how_it_ended_is_said(words: list[str], message: str, log: int) -> None:
    with pytest.raises(TrainerError, match=message):
        ran(log, *words)


def test_a_script_without_its_interpreter_is_told_from_none(log: int, tmp_path: Path) -> None:
    script = tmp_path / "train"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(TrainerError, match=r".*/train names a missing interpreter"):
        ran(log, str(script))


def test_only_the_last_lines_are_in_a_message(log: int) -> None:
    with pytest.raises(TrainerError, match=r"its last lines: 26 \| 27 \| 28 \| 29 \| 30$"):
        ran(log, "sh", "-c", "seq 30; exit 1")


def test_a_command_that_does_not_end_is_killed(log: int) -> None:
    with pytest.raises(TrainerError, match=r"did not end within 1 s and was killed; its last lines: waiting$"):
        ran(log, "sh", "-c", "echo waiting; exec sleep 1000", limit_s=0.5)


KILLED = """
import os
from m2bench.systems.command.output import Output
from m2bench.systems.command.process import run_command
command = ["sh", "-c", "echo $$; exec sleep 1000"]
run_command(command, {}, 60.0, Output(1), lambda line: os.write(2, line.encode()), print)
"""


def test_a_command_does_not_outlive_a_worker_that_is_killed() -> None:
    """As the system kills a worker when its launcher is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as worker:
        assert worker.stderr is not None
        command = psutil.Process(int(os.read(worker.stderr.fileno(), 100)))
        assert command.is_running()
        worker.kill()
    psutil.wait_procs([command], timeout=10)
    assert not command.is_running() or command.status() == psutil.STATUS_ZOMBIE


def test_its_own_time_is_measured_and_not_that_of_what_it_leaves_behind(log: int) -> None:
    found, lines, _ = ran(log, "sh", "-c", "sleep 0.2; sleep 100 & echo $!")
    os.kill(int(lines[0]), signal.SIGKILL)
    assert 0.2 <= found.elapsed_s < 50


def test_peak_memory_is_that_of_its_largest_process(log: int) -> None:
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_MB
    more_mb = own_mb + 400  # below the peak of the process of these tests nothing is known
    held = f"x = bytearray({more_mb:.0f} * 2**20); x[::4096] = bytes(len(x[::4096]))"
    found, _, _ = ran(log, "sh", "-c", f"{sys.executable} -c '{held}'; true")
    assert found.peak_memory_mb is not None
    assert more_mb - 20 < found.peak_memory_mb < more_mb + 200


def test_memory_that_is_less_than_ours_is_not_known(log: int) -> None:
    """A process begins with the memory of the one that starts it."""
    assert ran(log, "true")[0].peak_memory_mb is None


def test_megabytes_fill_neither_log_nor_memory(log: int, tmp_path: Path) -> None:
    counted = [0]

    def count(line: str) -> None:
        counted[0] += 1

    ended = run_command(["sh", "-c", "seq 200000; echo last"], {}, 60.0, Output(log), count, count)
    assert ended.elapsed_s > 0
    assert counted == [200_001]
    kept = (tmp_path / "log").read_text()
    assert len(kept) < outputs.LOG_BYTES + 1000
    assert kept.startswith("1\n2\n")
    assert kept.endswith("199997\n199998\n199999\n200000\nlast\n")


def test_a_line_without_end_is_cut(log: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LONGEST_LINE", 1000)
    _, lines, _ = ran(log, "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo next")
    assert lines == ["x" * 1000, "next"]


def test_a_line_that_cannot_be_read_is_told_when_it_has_ended(log: int) -> None:
    def refuse(line: str) -> None:
        raise TrainerError(f"not {line}")

    output = Output(log)
    run_command(["seq", "100000"], {}, 60.0, output, refuse, refuse)
    assert str(output.error) == "not 1"


def test_it_has_the_variables_of_the_shell_and_its_own(log: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_THE_SHELL", "a")
    monkeypatch.setenv("CHANGED", "a")
    _, lines, _ = ran(log, "sh", "-c", "echo $FROM_THE_SHELL $CHANGED $OWN", CHANGED="b", OWN="c")
    assert lines == ["a b c"]

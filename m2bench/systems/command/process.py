"""Runs a command, and says how it ended."""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from m2bench.errors import TrainerError
from m2bench.processes.environment import shell_environment

from .output import Output

STRAGGLERS_S = 1.0  # how long the streams are read when the command has ended, and what it has started has not
KB_PER_MB = 2**20 if sys.platform == "darwin" else 2**10  # a Mac tells bytes


@dataclass(frozen=True)
class Ran:
    """How long a command took, and the peak memory of the largest of its processes; None where that is not known."""

    elapsed_s: float
    peak_memory_mb: float | None


@contextmanager
def _not_outlived() -> Iterator[None]:
    """While this is held, whatever ends this process, also a kill, ends its process group, and so what it has started.

    A shell in that group waits for the end of a pipe whose other end this process alone holds.
    """
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", "read line; kill -KILL 0"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.kill()  # before its pipe ends
        watcher.communicate()


@_not_outlived()
def run_command(
    words: Sequence[str],
    variables: Mapping[str, str],
    limit_s: float,
    output: Output,
    read_line: Callable[[str], None],
    read_error_line: Callable[[str], None],
) -> Ran:
    """Run a command with these variables beside the shell's; whoever waits for input meets its end.

    Its lines are passed on as they come, those of its standard error apart. Raises TrainerError when it cannot be
    started, fails, or has not ended after ``limit_s`` seconds; then it is killed.
    """
    timed_out = threading.Event()
    begin = time.perf_counter()
    process = _started(words, variables)

    def end() -> None:
        timed_out.set()
        process.kill()

    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=output.follow, args=(stream, read), daemon=True)
        for stream, read in ((process.stdout, read_line), (process.stderr, read_error_line))
    ]
    for reader in readers:
        reader.start()
    clock = threading.Timer(limit_s, end)
    clock.start()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed_s = time.perf_counter() - begin
    clock.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join(0 if timed_out.is_set() else STRAGGLERS_S)
    output.close()
    if timed_out.is_set():
        raise TrainerError(f"the command did not end within {math.ceil(limit_s)} s and was killed; {output.last_lines}")
    if process.returncode:
        raise TrainerError(f"the command {_ended(process.returncode)}; {output.last_lines}")
    # What a process was started from counts to its memory: less than ours cannot be told.
    own_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Ran(elapsed_s, usage.ru_maxrss / KB_PER_MB if usage.ru_maxrss > own_kb else None)


def _started(words: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**shell_environment(), **variables},
        )
    except FileNotFoundError as error:
        is_script = Path(words[0]).is_file()
        missing = f"{words[0]} names a missing interpreter" if is_script else f"no program {words[0]!r}"
        raise TrainerError(f"the command cannot be started: {missing}") from error
    except OSError as error:
        raise TrainerError(f"the command cannot be started: {words[0]}: {error.strerror}") from error


def _ended(code: int) -> str:
    """How a process ended, by its exit code: negative where a signal killed it, and above 128 where a shell says so."""
    if code < 0:
        return f"was killed by {_signal(-code)}"
    by_shell = f", as a shell says of {_signal(code - 128)}" if 128 < code < 128 + signal.NSIG else ""
    return f"ended with exit code {code}{by_shell}"


def _signal(number: int) -> str:
    hint = " (out of memory?)" if number == signal.SIGKILL else ""
    return f"{signal.Signals(number).name if number in {*signal.Signals} else f'signal {number}'}{hint}"

"""The parent's end of the worker processes: asks for one job at a time, and tells what came of it."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from m2bench.errors import UserError, WorkerError
from m2bench.records.documents import read, to_json
from m2bench.records.results import Failure
from m2bench.store.files import open_log, shorten_log

from .environment import SAFE_PATH, worker_environment
from .job_requests import Job, PreloadJob
from .json_lines import JobRequest, Lines, WorkerEvent

DESCRIBE_TIMEOUT_S = 600.0
LAUNCHER = "m2bench.worker.launcher"
LAUNCHER_DIED = Failure("died", "the launcher of the worker died")


T = TypeVar("T")
Progress = Callable[[Any], None]
"""Takes what a job ``tells``."""


@dataclass(frozen=True)
class JobOutcome(Generic[T]):
    """What came of a job: its result, or why there is none; ``cpu_s``: of all cores, None where nobody told."""

    result: T | Failure
    cpu_s: float | None = None


def succeeded(found: T | Failure, what: str, log: Path) -> T:
    """The result of a job. Raises WorkerError, which says ``what`` did not come about, where there is none."""
    if isinstance(found, Failure):
        raise WorkerError(f"{what}: {found.text}.", f"The log is {log}.")
    return found


class Launcher:
    """Starts workers, one at a time. Use as a context manager; on leaving, no process is left.

    ``environment``: variables that the workers get beside those of all workers, None for one that they do not get.
    ``threads``: how many torch uses in each worker; None leaves that to torch. ``module``: the launcher's, which other
    versions keep elsewhere.
    """

    threads: int | None = None

    def __init__(
        self, work: Path, log: Path, environment: Mapping[str, str | None] | None = None, module: str = LAUNCHER
    ):
        self._environment = environment or {}
        self._module = module
        self.work = work.resolve()
        self._log = log.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._compiler_import_s = 0.0

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def preload_compiler(self, probe: bool) -> None:
        """Let the workers from here on start with torch's compiler imported, which the profiler needs as well.

        With ``probe`` the compiler also examines the CPU beforehand, which takes some seconds.
        """
        seconds = self.run(PreloadJob(probe=probe), float, self._log, DESCRIBE_TIMEOUT_S).result
        self._compiler_import_s = 0.0 if isinstance(seconds, Failure) else seconds

    def end_worker(self) -> None:
        """End the worker under way, from another thread than the one that runs it."""
        if self._process is not None:
            with suppress(BrokenPipeError):
                _write_line(self._process, {"kill": True})

    def stop(self) -> None:
        """End the launcher and the worker under way."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # a launcher that has died has left a line unread
            process.stdin.close()  # the launcher takes this as the order to end what it runs
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def run(
        self,
        job: Job,
        kind: type[T],
        log: Path,
        timeout_s: float,
        on_progress: Progress | None = None,
    ) -> JobOutcome[T]:
        """Run one job in a worker: its result of this kind, or the failure of one that crashed, hung or was killed.

        Raises UserError when the worker found something the user can put right, or answers with something else.
        """
        open_log(log).close()  # the worker has nowhere to say that it cannot write there
        process, lines = self._start()
        job = replace(
            job,
            work=self.work,
            log=log.resolve(),
            compiler_import_s=self._compiler_import_s,
            threads=self.threads,
            timeout_s=timeout_s,
        )
        try:
            _write_line(process, self.document(job))
            answer, cpu_s = _collect(process, lines, timeout_s, _follow(job, on_progress))
        except BrokenPipeError:
            answer, cpu_s = LAUNCHER_DIED, None
        shorten_log(log)
        if lines.ended or process.poll() is not None:
            self.stop()  # the next job gets a new launcher
        if isinstance(answer, UserError):
            raise answer
        if isinstance(answer, Failure):
            return JobOutcome(answer, cpu_s)
        try:
            return JobOutcome(read(kind, answer), cpu_s)
        except ValueError as error:
            raise WorkerError(f"the worker's answer cannot be read: {error}.", f"Its log is {log}.") from error

    def document(self, job: Job) -> JobRequest:
        """The line that asks for the job."""
        return cast(JobRequest, {"job": job.name, **to_json(job)})

    def _start(self) -> tuple[subprocess.Popen[bytes], Lines[WorkerEvent]]:
        if self._process is None:
            variables = {**worker_environment(self.work), **self._environment}
            with open_log(self._log) as log:
                self._process = subprocess.Popen(
                    [sys.executable, SAFE_PATH, "-m", self._module],
                    cwd=self.work,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={k: v for k, v in variables.items() if v is not None},
                    start_new_session=True,  # Ctrl-C reaches the parent alone, which ends things in order
                )
            assert self._process.stdout is not None
            self._lines = Lines[WorkerEvent](self._process.stdout.fileno())
            self._compiler_import_s = 0.0
            if self._lines.next() is None:
                self.stop()
                raise WorkerError("the worker processes cannot start.", f"The reason is in {self._log}.")
        return self._process, self._lines


def _collect(
    process: subprocess.Popen[bytes],
    lines: Lines[WorkerEvent],
    timeout_s: float,
    on_progress: Callable[[WorkerEvent], None],
) -> tuple[Any, float | None]:
    """Read the worker's events until it has gone: what it answered (see ``_answer``), and seconds of CPU."""
    answer: Any = None
    deadline = time.monotonic() + timeout_s
    timed_out = False
    while True:
        event = lines.take()
        if event is None:
            if lines.ended:
                return LAUNCHER_DIED, None
            remaining = None if timed_out else max(0.0, deadline - time.monotonic())
            if select.select([lines.fd], [], [], remaining)[0]:
                lines.read()
            else:
                timed_out = True
                _write_line(process, {"kill": True})
        elif event["event"] == "progress":
            on_progress(event)
        elif event["event"] == "result":
            answer = _answer(event)
        elif event["event"] == "exit":
            if timed_out:
                answer = Failure("timeout", f"no result after {timeout_s:g} s; killed")
            elif answer is None:
                answer = Failure("died", _describe_exit(event["code"]))
            return answer, event.get("cpu_s")


def _follow(job: Job, on_progress: Progress | None) -> Callable[[WorkerEvent], None]:
    """Hands on what is told of progress, as a record; where nobody asks for that, it may be of any version."""
    return lambda event: on_progress(read(job.tells, event)) if on_progress else None


def _answer(event: WorkerEvent) -> Any:
    """The result in a worker's event, or its failure, or the UserError that the worker found."""
    if "error" in event:
        return UserError(event["error"])
    if "failure" in event:
        return Failure(event.get("kind", "error"), event["failure"])  # earlier versions tell no kind
    return event["result"]


def _describe_exit(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"the worker was killed by {name}{hint}"
    return f"the worker ended with exit code {code} and no result"


def _write_line(process: subprocess.Popen[bytes], document: JobRequest) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(document).encode() + b"\n")
    process.stdin.flush()

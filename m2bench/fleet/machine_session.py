"""The machine's end of a run on several machines: what its Dask worker does, one thing at a time.

A session holds what a run on this machine alone would: a folder, a launcher with its worker processes, the numbers
found before the first trial. The parent asks for one trial after the other; a session of which nothing was asked for a
while has lost its parent, and ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from m2bench import __version__
from m2bench.errors import WorkerError
from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import Launcher
from m2bench.processes.environment import users_environment
from m2bench.records.description import Description, Prepared
from m2bench.records.spec import TrialSpec
from m2bench.run.describe import describe
from m2bench.run.quiet import busy_now
from m2bench.run.run_ablation import get_ready
from m2bench.run.trials import Execute, Watched, trial_executor
from m2bench.store.sources import package_digest
from m2bench.store.stored_trial import Result
from m2bench.text.console import plain_console

from .lock import SessionEnded, alone_on_machine
from .shipping import Shipped

if TYPE_CHECKING:
    from distributed import Worker

RESOURCE = "m2bench"
"""What a worker has one of, and every trial needs."""
IDLE_S = 600.0
LOG_LINES = 3
WIDTH = 1000  # of the console that remarks are written to: wide enough that none is wrapped


@dataclass(frozen=True)
class Identity:
    """Which machine it is, and which m2bench it has."""

    host: str
    node: int
    version: str
    digest: str
    has_torch: bool = True


@dataclass(frozen=True)
class Readiness:
    """What a machine found before its first trial, as ``run_ablation.Ready``; ``remarks``: what is to be printed."""

    threads: int | None
    description: Description
    prepared: Prepared
    remarks: str


@dataclass(frozen=True)
class Measured:
    """A trial that was run, and its log."""

    found: Watched[Result]
    log: bytes


def identify() -> Identity:
    """Which machine this is."""
    return Identity(socket.gethostname(), uuid.getnode(), __version__, package_digest(), find_spec("torch") is not None)


async def offer(dask_worker: Worker) -> None:
    """Let this worker take one trial at a time, whatever it was started with."""
    await dask_worker.set_resources(**{RESOURCE: 1})


class _Session:
    """One run on this machine."""

    execute: Execute

    def __init__(self, folder: Path, spec: RunSpec, shipped: Shipped):
        self._folder = folder
        self.logs, work = folder / "logs", folder / "work"
        for made in (self.logs, work):
            made.mkdir(parents=True)
        self.spec = replace(spec, workload=shipped.unpack(spec.workload, folder))
        self.launcher = Launcher(work, self.logs / "launcher.log", users_environment(self.spec.workload))
        self.ended = threading.Event()
        self._at_work = threading.Lock()
        self._timer = threading.Timer(IDLE_S, self.end)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do what is asked while nothing else is measured on the machine."""
        self._timer.cancel()
        try:
            with self._at_work, alone_on_machine(self.ended):
                yield
        except WorkerError as error:
            raise WorkerError(f"{error} The last lines there: {self._end_of_logs()}") from error
        finally:
            self._timer = threading.Timer(IDLE_S, self.end)
            self._timer.daemon = True
            self._timer.start()
            if self.ended.is_set():
                self._clean()

    def _end_of_logs(self) -> str:
        """The last lines of the log that was written to last."""
        newest = max(self.logs.iterdir(), key=lambda log: log.stat().st_mtime)
        return " / ".join(newest.read_text(errors="replace").strip().splitlines()[-LOG_LINES:])

    def end(self) -> None:
        """End what is under way and leave nothing, at once or when the thread that is at work has seen it."""
        self.ended.set()
        self.launcher.end_worker()
        self._clean()

    def _clean(self) -> None:
        if not self._at_work.acquire(blocking=False):
            return
        try:
            self._timer.cancel()
            self.launcher.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
        finally:
            self._at_work.release()


_sessions: dict[str, _Session] = {}
SEED_OF_NANNY = "6640"  # of hashes, as Dask sets it for all workers


def _forget_dasks_variables() -> None:
    """Take back what Dask has set in this process and nobody asked for: one thread for NumPy and torch, say.

    Trials inherit it. What a machine's owner has set to the same value is forgotten as well.
    """
    from dask import config

    own = {name: str(value) for name, value in config.get("distributed.nanny.pre-spawn-environ").items()}
    for name, value in {**own, "PYTHONHASHSEED": SEED_OF_NANNY}.items():
        if os.environ.get(name) == value:
            del os.environ[name]


def begin(run: str, spec: RunSpec, shipped: Shipped) -> Description:
    """Begin a session, and describe the machine and the system under test. UserError where that cannot be done."""
    from distributed import get_worker

    end(run)
    _forget_dasks_variables()
    session = _Session(Path(get_worker().local_directory) / f"m2bench-{run}", spec, shipped)
    _sessions[run] = session
    with session.alone():
        return describe(session.launcher, session.spec.workload, session.logs)


def make_ready(run: str, threads: int | None, are_chosen: bool) -> Readiness:
    """Examine the machine as a run on it alone does, and prepare the trials.

    ``are_chosen``: the number of threads is that of the machine's kind; else it is found here.
    """
    session, told = _session(run), StringIO()
    spec = replace(session.spec, threads=threads)
    with session.alone():
        ready = get_ready(session.launcher, spec, are_chosen, session.logs, plain_console(file=told, width=WIDTH))
    session.spec = ready.spec
    described = ready.description
    session.execute = trial_executor(session.launcher, ready.spec, described.device, described.workload.target)
    return Readiness(ready.spec.threads, ready.description, ready.prepared, told.getvalue())


def run_trial(run: str, trial: TrialSpec) -> Measured:
    """Run one trial; what it measured, or why it has not."""
    session = _session(run)
    log = session.logs / f"{trial.key}.log"
    with session.alone():
        found = session.execute(trial, log)
        content = log.read_bytes()
        log.unlink()
    return Measured(found, content)


def other_load(run: str) -> float | None:
    """How many cores other processes keep busy, None for no more than a machine at rest."""
    with _session(run).alone():
        return busy_now()


def end(run: str) -> None:
    """End the session of the run, if there is one, and all of its processes."""
    session = _sessions.pop(run, None)
    if session is not None:
        session.end()


def _session(run: str) -> _Session:
    if run not in _sessions:
        raise SessionEnded
    return _sessions[run]

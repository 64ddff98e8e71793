"""The process between the parent and its workers: starts one at a time, and never leaves one behind.

Run as ``python -m m2bench.worker.launcher``. The parent writes one JSON request a line to its input; it answers with
one JSON event a line: ``ready`` once, then per request whatever the worker sends (``progress``, ``result``) and
``exit`` with its exit code when the worker and all it started are gone, and the seconds of CPU that this process and
its workers have used since the last time. A line ``{"kill": true}`` ends the worker
under way; the end of the input (the parent has gone, however it went) ends the worker and the launcher.

On Linux a worker is forked from this process, which has imported the worker's jobs, and torch with them where they
compute with it, but computed nothing; after a request
``{"job": "preload"}`` it has imported torch's compiler too. Elsewhere a worker is a fresh interpreter, and
preloading does nothing. See docs/decisions/002-forked-workers.md.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from m2bench.machine.cpu import spent_cpu_s
from m2bench.processes.environment import SAFE_PATH
from m2bench.processes.json_lines import JobRequest, Lines, send

from .dispatch import jobs_for

CAN_FORK = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
OURS = "m2bench"


def main() -> None:
    """Serve requests until the input ends."""
    events = os.dup(1)
    os.dup2(2, 1)  # nothing that an import prints may land among the events
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if CAN_FORK:
        # What a worker leaves behind becomes a child of this process, also where it has left the worker's group.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    send(events, {"event": "ready"})
    requests = Lines[JobRequest](0)
    told_s = 0.0
    while (request := requests.next()) is not None:
        if "kill" in request:
            continue  # the worker it was meant for has just ended by itself
        if request["job"] == "preload":
            send(events, {"event": "result", "result": _preload(request["probe"])})
            told_s = _send_exit(events, 0, told_s)
            continue
        if CAN_FORK:
            _import_system(request)
        worker = _fork(request, events, wake_read) if CAN_FORK else _spawn(request, events)
        code = _wait(worker, requests, wake_read)
        if code is None:
            return
        told_s = _send_exit(events, code, told_s)


def _import_system(request: JobRequest) -> None:
    """Import a worker's jobs and a system of ours once, and not in every worker.

    Importing a user's system may do anything, so a worker does.
    """
    jobs_for(request)
    module = request.get("workload", {}).get("module", "")
    if module.partition(".")[0] == OURS:
        with suppress(ImportError):  # the worker tells of it
            importlib.import_module(module)


def _send_exit(events: int, code: int, told_s: float) -> float:
    """Tell of a worker's end; ``told_s``: seconds of CPU that were told of before. Those of which are told now."""
    spent_s = spent_cpu_s()
    send(events, {"event": "exit", "code": code, "cpu_s": spent_s - told_s})
    return spent_s


def _preload(probe: bool) -> float:
    """Import torch's compiler, and with ``probe`` let it examine the CPU; seconds that the import took."""
    if not CAN_FORK:
        return 0.0
    from . import job_handlers

    start = time.perf_counter()
    job_handlers.import_compiler()
    seconds = time.perf_counter() - start
    if probe:
        job_handlers.probe_compiler()
    return seconds


def _fork(request: JobRequest, events: int, wake_read: int) -> int:
    """Start a worker as a copy of this process; its process id."""
    launcher = os.getpid()
    # A worker collects its own garbage before it is timed; what it inherits is none, and long to look through.
    gc.freeze()
    worker = os.fork()
    if worker:
        return worker
    code = 1
    try:
        _isolate(request["log"], wake_read, launcher)
        code = jobs_for(request).run(request, lambda event: send(events, event))
    finally:
        with suppress(OSError):  # a full disk has no room for the log
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _isolate(log: str, wake_read: int, launcher: int) -> None:
    """Give the worker its own process group and log, and let it die with the launcher."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(wake_read)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:
        os._exit(1)  # the launcher died before the line above
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)


def _spawn(request: JobRequest, events: int) -> int:
    """Start a worker as a fresh interpreter; its process id."""
    descriptors = events, _lifeline()
    command = [
        sys.executable,
        SAFE_PATH,
        "-m",
        "m2bench.worker.spawned_worker",
        json.dumps(request),
        *map(str, descriptors),
    ]
    with open(request["log"], "ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=descriptors, start_new_session=True
        )
    process.returncode = 0  # it is waited for here, not by subprocess
    return process.pid


@cache
def _lifeline() -> int:
    """The reading end of a pipe whose other end this process alone holds: it ends when this process does.

    Elsewhere than on Linux the system does not end a worker whose launcher was killed.
    """
    return os.pipe()[0]


def _wait(worker: int, requests: Lines[JobRequest], wake_read: int) -> int | None:
    """Wait for the worker's end; its exit code (negative: the signal), or None when the parent has gone."""
    while True:
        finished, status = os.waitpid(worker, os.WNOHANG)
        if finished:
            _end_what_is_left(worker)
            return os.waitstatus_to_exitcode(status)
        ready, _, _ = select.select([requests.fd, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 512)
        if requests.fd in ready:
            requests.read()
            if requests.ended or requests.take() is not None:
                _kill_group(worker)
            if requests.ended:
                os.waitpid(worker, 0)
                _end_what_is_left(worker)
                return None


def _end_what_is_left(worker: int) -> None:
    """End what a worker has left running: in its group, and on Linux also outside of it."""
    _kill_group(worker)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with suppress(FileNotFoundError):  # not every kernel lists them
        while left := [int(pid) for pid in children.read_text().split()]:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


if __name__ == "__main__":
    main()

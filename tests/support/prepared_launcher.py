"""Launchers that start at once: forked from a process that has imported, once, what every launcher imports.

A launcher takes seconds to import torch, and most tests of a command are about something else. What is forked runs the
launcher's own ``main`` with the environment, the folder and the streams that it was to have. It differs in how it was
started: it reads no ``sitecustomize``, and torch has seen the variables of the first one; and in how long it looks at
the machine (``_import_ours``). Commands of which either is a part are run as processes of their own
(``commands.m2bench``), and tests/processes tests the real launcher.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import IO, Any

import pytest

from m2bench.processes import client
from m2bench.processes.environment import SAFE_PATH, worker_environment

OURS = "m2bench"
ONE_AT_A_TIME = Lock()  # so that each of two threads is told the process that it has asked for
PREPARED = "prepared-m2bench"  # a temporary folder in which torch keeps nothing that matters


class ForkedProcess:
    """What a ``Launcher`` uses of the Popen of its process."""

    def __init__(self, command: list[str], cwd: Path, stderr: IO[bytes], env: dict[str, str], **_: Any):
        assert command[1:] == [SAFE_PATH, "-m", client.LAUNCHER], command
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        request = json.dumps({"cwd": str(cwd), "env": env}).encode()
        with ONE_AT_A_TIME:
            socket.send_fds(_forge(), [request], [theirs_in, theirs_out, stderr.fileno()])
            self.pid = int(_forge().recv(32))
        self._alive = os.pidfd_open(self.pid)
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")

    def poll(self) -> int | None:
        return 0 if select.select([self._alive], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> None:
        if not select.select([self._alive], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a forked launcher", timeout or 0)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._alive, signal.SIGKILL)


def prepare(patch: pytest.MonkeyPatch) -> None:
    """Let every Launcher of this process fork, where workers are forked from it as well."""
    if sys.platform == "linux":
        names = SimpleNamespace(Popen=ForkedProcess, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
        patch.setattr(client, "subprocess", names)


@cache
def _forge() -> socket.socket:
    """The end of a socket at whose other end launchers are forked, until this one is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, SAFE_PATH, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
        cwd=Path(__file__).parent,  # in no folder of a test, which looks for processes that are left there
        env={**worker_environment(Path(tempfile.gettempdir()) / PREPARED), "PYTHONPATH": ""},
    ).returncode = 0  # fmt: skip
    theirs.close()
    atexit.register(ours.close)
    return ours


def _serve(requests: socket.socket) -> None:
    """Fork a launcher for each request, and answer with its process id."""
    _import_ours()
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 2**20, 3)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            _become(json.loads(request), descriptors)
        requests.send(str(pid).encode())
        for descriptor in descriptors:
            os.close(descriptor)


def _import_ours() -> None:
    """Import what a launcher imports, and what a worker of the trading system needs a second for.

    What tells how fast the machine is looks briefly: it takes longer than a trial whose updates take milliseconds.
    """
    import scipy.signal

    from m2bench.devices import device_speed
    from m2bench.worker import job_handlers, launcher

    assert scipy.signal
    assert job_handlers
    assert launcher
    device_speed.CANARY_SIZE, device_speed.CANARY_S = 128, 0.0
    device_speed.PEAK_SIZES = {"cpu": (128,)}


def _forget_ours() -> None:
    """A side of a check that brings its own m2bench imports that one, as a new process would."""
    for name in [name for name in sys.modules if name.partition(".")[0] == OURS]:
        del sys.modules[name]
    _import_ours()


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        entries = [entry for entry in request["env"].get("PYTHONPATH", "").split(os.pathsep) if entry]
        sys.path[:0] = entries
        if any((Path(entry) / OURS).is_dir() for entry in entries):
            _forget_ours()
        from m2bench.worker import launcher

        launcher.main()
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

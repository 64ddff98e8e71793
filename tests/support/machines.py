"""A Dask scheduler and workers that pretend to be machines: processes of their own on 127.0.0.1.

Run as a script it is a server, from which all of them are forked: Dask and what a launcher imports are imported once.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

SUPPORT = Path(__file__).parent


class Machines:
    """The server's other end. Use as a context manager: on leaving, all are ended."""

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.processes: dict[str, int] = {}
        self.scheduler = f"tcp://127.0.0.1:{_free_port()}"

    def __enter__(self) -> Machines:
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(self.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(SUPPORT), "TMPDIR": str(self.folder)}, cwd=SUPPORT,
        )  # fmt: skip
        return self

    def __exit__(self, *exc: object) -> None:
        for name in [*self.processes]:
            self.kill(name)
        self._server.kill()
        self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            assert stream is not None
            stream.close()

    def start(self, name: str, kind: str = "machine", host: str = "", chip: str = "a chip", **other: Any) -> None:
        """Start the scheduler, or a worker called ``name`` on a machine ``host`` (by itself) with this chip.

        With ``trial_s`` its trials do nothing but take so long (timed_machines.py). ``ttl_s``: after which the
        scheduler gives a silent worker up.
        """
        request = {"kind": kind, "host": host or name, "name": name, "chip": chip, "scheduler": self.scheduler, **other}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        self.processes[name] = int(self._server.stdout.readline())

    def start_scheduler(self, ttl_s: float | None = None) -> None:
        self.start("scheduler", "scheduler", ttl_s=ttl_s)

    def kill(self, name: str) -> None:
        """As by kill -9."""
        with suppress(ProcessLookupError):
            os.kill(self.processes.pop(name), signal.SIGKILL)

    def sleep(self, name: str) -> None:
        """As a machine that sleeps: it does not answer, and its connections stay."""
        os.kill(self.processes[name], signal.SIGSTOP)

    def wake(self, name: str) -> None:
        os.kill(self.processes[name], signal.SIGCONT)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def hold(marker: Path) -> None:
    """Be at work alone on a machine for a moment."""
    from m2bench.fleet.lock import alone_on_machine

    with alone_on_machine(Event()):
        marker.touch(exist_ok=False)
        time.sleep(0.1)
        marker.unlink()


def _serve(folder: Path) -> None:
    import distributed
    import prepared_launcher
    import pytest

    from m2bench.fleet import machine_session

    assert distributed
    assert machine_session
    prepared_launcher.prepare(pytest.MonkeyPatch())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("trains", request["kind"] == "machine" and "trial_s" not in request):
            prepared_launcher._forge()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(request, folder)
        print(child, flush=True)


def _become(request: dict[str, Any], folder: Path) -> None:
    code = 1
    try:
        null, log = (
            os.open(os.devnull, os.O_RDONLY),
            os.open(folder / f"{request['name']}.log", os.O_WRONLY | os.O_CREAT),
        )
        for stream, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(stream, target)
        if request["kind"] == "scheduler":
            asyncio.run(_schedule(request["scheduler"], request.get("ttl_s")))
        elif request["kind"] == "python":
            _pretend(request, folder)
            _run_python(request["arguments"], request["environment"])
        else:
            _pretend(request, folder)
            asyncio.run(_work(request, folder))
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except Exception:  # noqa: BLE001 (told in the log, as by Python itself)
        traceback.print_exc()
    finally:
        written = folder / f"{request['name']}.code"
        written.write_text(str(code))
        written.rename(written.with_suffix(".rc"))  # there with what it says
        os._exit(code)


def _run_python(arguments: list[str], environment: dict[str, str]) -> None:
    """What ``python ARGUMENTS`` does: -c CODE or -m MODULE."""
    import dask

    os.setpgid(0, 0)
    os.environ.update(environment)
    dask.config.refresh()
    what, name, *sys.argv[1:] = arguments
    if what == "-c":
        exec(name, {})
    else:
        runpy.run_module(name, run_name="__main__", alter_sys=True)


async def _schedule(address: str, ttl_s: float | None) -> None:
    from dask import config
    from distributed import Scheduler

    if ttl_s is not None:
        config.set({"distributed.scheduler.worker-ttl": ttl_s})
    async with Scheduler(host=address, dashboard=False, dashboard_address=None) as scheduler:
        await scheduler.finished()


async def _work(request: dict[str, Any], folder: Path) -> None:
    from distributed import Worker

    local = folder / request["name"]
    async with Worker(
        request["scheduler"], nthreads=request.get("threads", 1), dashboard=False, local_directory=str(local)
    ) as worker:
        await worker.finished()


def _pretend(request: dict[str, Any], folder: Path) -> None:
    """Be another machine: by its name and chip, and where asked to, without m2bench or with another one."""
    from prepared_launcher import ForkedProcess

    from m2bench.fleet import machine_session
    from m2bench.records.description import Description, Machine
    from m2bench.records.documents import read
    from m2bench.run import describe, quiet, run_ablation

    socket.gethostname = lambda: request["host"]
    if "trial_s" in request:
        import timed_machines

        timed_machines.take_time(request["host"], request["chip"], request["trial_s"], folder)
        return
    if request.get("without_m2bench"):
        for name in [name for name in sys.modules if name.partition(".")[0] == "m2bench"]:
            del sys.modules[name]
        sys.modules["m2bench"] = None  # type: ignore[assignment]
    if request.get("digest"):
        vars(machine_session)["package_digest"] = lambda: request["digest"]
    start = ForkedProcess.__init__

    def start_alone(self: ForkedProcess, *args: Any, **kwargs: Any) -> None:
        """All machines ask the same process to fork."""
        with (folder / "forge.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            start(self, *args, **kwargs)

    ForkedProcess.__init__ = start_alone  # type: ignore[method-assign]
    describes = describe.describe

    def pretended(*args: Any) -> Description:
        found = describes(*args)
        return replace(found, machine=read(Machine, {**found.machine.facts, "chip": request["chip"]}))

    quiet.SAMPLE_S = 0.1
    for module in (machine_session, run_ablation):
        module.describe = pretended  # type: ignore[attr-defined]


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))

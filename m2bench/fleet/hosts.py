"""Hosts on which Dask is started over SSH, by its own SSHCluster, and on which nothing of it is left.

How a host is reached (address, port, user, key) is what the user's configuration of SSH says; none of it is an option.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from m2bench.errors import UserError

from .cluster import import_dask

if TYPE_CHECKING:
    from distributed.deploy.spec import SpecCluster

T = TypeVar("T")

REACH_S = 20.0
JOIN_S = 30.0
CLOSE_S = 15.0
IDLE = "10 minutes"
"""After which Dask ends itself where the run that started it was killed."""
NEEDED = "import distributed, m2bench"


@dataclass(frozen=True)
class Hosts:
    """Names as SSH knows them.

    ``python``: the path of Python on them, None where it is that of this one; ``skip_unreachable``: go on with the
    others where some cannot be reached.
    """

    names: tuple[str, ...]
    python: str | None = None
    skip_unreachable: bool = False

    @contextmanager
    def started(self, console: Console) -> Iterator[str]:
        """Start a scheduler on the first host and a worker on each; the scheduler's address. End them on leaving.

        Raises UserError, and leaves nothing running, where a host cannot be reached or Dask cannot be started.
        """
        import_dask("distributed", "asyncssh")
        python = shlex.quote(self.python or sys.executable)
        with _loop() as loop:
            names = self._usable(_begin(_faults(self.names, python), loop).result(), console)
            console.print(f"Starting Dask on {', '.join(names)}.")
            cluster = _begin(_made(names, python), loop).result()
            starting = _begin(_start(cluster, len(names)), loop)
            try:
                self._refuse_missing(names, _started(starting, names), console)
                yield cluster.scheduler_address
            finally:
                with suppress(Exception):  # where that was interrupted: what is half started cannot be ended
                    starting.result(CLOSE_S)
                with suppress(Exception):
                    _begin(_close(cluster), loop).result(CLOSE_S)

    def _usable(self, faults: dict[str, str | None], console: Console) -> list[str]:
        usable = [name for name, fault in faults.items() if fault is None]
        told = "; ".join(f"{name} {fault}" for name, fault in faults.items() if fault is not None)
        if told and not (usable and self.skip_unreachable):
            others = ", or go on with the others: --skip-unreachable" if usable else ""
            raise UserError(f"{told}. Nothing was started.", f"See whether ssh HOST works without a password{others}.")
        if told:
            console.print(f"Left out: {told}.")
        return usable

    def _refuse_missing(self, names: list[str], joined: int, console: Console) -> None:
        if joined == len(names):
            return
        told = f"only {joined} of {len(names)} workers on {', '.join(names)} reach the scheduler on {names[0]}"
        if not (joined and self.skip_unreachable):
            raise UserError(f"{told}.", "Let the hosts connect to each other, and see to their certificates for Dask.")
        console.print(f"Warning: {told}.")


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _begin(what: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> Future[T]:
    return asyncio.run_coroutine_threadsafe(what, loop)


async def _faults(names: tuple[str, ...], python: str) -> dict[str, str | None]:
    """Why hosts cannot take part; None for those that can."""
    return dict(zip(names, await asyncio.gather(*(_fault(name, python) for name in names)), strict=True))


async def _fault(name: str, python: str) -> str | None:
    import asyncssh

    async def answer() -> asyncssh.SSHCompletedProcess:
        async with asyncssh.connect(name) as connection:
            return await connection.run(f"{python} -c {shlex.quote(NEEDED)}")

    try:
        done = await asyncio.wait_for(answer(), REACH_S)
    except (OSError, ValueError, asyncssh.Error) as error:  # ValueError: a configuration or a key that is not one
        return f"cannot be reached ({str(error) or f'no answer in {REACH_S:.0f} s'})"
    if done.exit_status == 0:
        return None
    last = (str(done.stderr).strip().splitlines() or ["it says nothing"])[-1]
    return f"has no m2bench[fleet] for {python} ({last}); say with --remote-python where it is"


async def _made(names: list[str], python: str) -> SpecCluster:
    from distributed import SSHCluster

    return SSHCluster(
        [names[0], *names],
        scheduler_options={"dashboard": False, "dashboard_address": ":0", "port": 0, "idle_timeout": IDLE},
        worker_options={"nthreads": 1, "dashboard": False, "death_timeout": IDLE},
        worker_class="distributed.Worker",  # without a nanny, which would be one more process beside the trials
        remote_python=python,
        asynchronous=True,
    )


async def _start(cluster: SpecCluster, workers: int) -> int:
    """How many workers have come to the scheduler."""
    await cluster
    with suppress(TimeoutError):
        await cluster.wait_for_workers(workers, JOIN_S)
    return len(cluster.scheduler_info["workers"])


def _started(starting: Future[int], names: list[str]) -> int:
    try:
        return starting.result()
    except Exception as error:
        raise UserError(
            f"Dask could not be started on {', '.join(names)} ({error}).",
            "Start a scheduler and workers yourself to see why, and name it with --scheduler.",
        ) from error


async def _close(cluster: SpecCluster) -> None:
    """End all of it; each process by itself too, since Dask ends none where one could not be started."""
    processes = [cluster.scheduler, *cluster.workers.values()]
    try:
        await cluster.close()
    finally:
        await asyncio.gather(*(each.close() for each in processes if each is not None), return_exceptions=True)

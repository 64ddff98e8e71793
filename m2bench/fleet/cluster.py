"""The parent's end of Dask: which machines there are, and asking one of them for something."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from m2bench import __version__
from m2bench.errors import UserError
from m2bench.store.sources import package_digest

from . import machine_session as session
from .machine_session import Identity

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S = 10.0
WATCH_S = 1.0
"""Between looks at whether the machine that is waited for is still there."""

T = TypeVar("T")
P = ParamSpec("P")


class MachineLost(Exception):  # noqa: N818 (no error of this program)
    """The machine does not answer any more."""


class Stopped(Exception):  # noqa: N818
    """The run was interrupted."""


class Refused(Exception):  # noqa: N818
    """The machine cannot take part, for a reason that its user can put right."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a UserError that is about a machine into Refused."""
    try:
        yield
    except UserError as error:
        raise Refused(str(error)) from error


@dataclass(frozen=True)
class Machine:
    """A machine by a name of its own, and the worker on it that is asked."""

    name: str
    worker: str


class Cluster:
    """A Dask scheduler that is there, and the machines of its workers. Use as a context manager."""

    def __init__(self, scheduler: str):
        """Connect; UserError where there is no scheduler, or no Dask."""
        self._scheduler = scheduler
        self._stopped = Event()
        self._workers: frozenset[str] = frozenset()
        self._machines: dict[tuple[str, int], Machine] = {}
        self._spare: dict[str, tuple[str, int]] = {}
        """Workers that are not asked, since another one of their machine is."""
        self._refused: dict[str, str] = {}
        self._client = self._connected()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close(timeout=CONNECT_S)

    def stop(self) -> None:
        """Let all threads go that wait for a machine."""
        self._stopped.set()

    def _connected(self) -> Client:
        import_dask("distributed")
        from distributed import Client

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other versions of packages there; what matters is compared here
                return Client(self._scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, RuntimeError, TypeError) as error:  # the last two where TLS is not set up alike
            raise _unconnected(self._scheduler, error) from error

    def look(self) -> list[Machine]:
        """The machines that have come since the last look. Connects again where the scheduler was lost."""
        try:
            if self._client.status != "running":
                self._client.close(timeout=0)
                self._client = self._connected()
            now = frozenset(self._client.nthreads())  # not scheduler_info: Dask overwrites that without the workers
        except (OSError, UserError):
            now = frozenset()
        new, self._workers = now - self._workers, now
        lost = {key for key, machine in self._machines.items() if not self.has(machine)}
        self._machines = {key: machine for key, machine in self._machines.items() if key not in lost}
        new |= {worker for worker, key in self._spare.items() if key in lost and worker in now}
        return self._machines_of(sorted(new)) if new else []

    def _machines_of(self, workers: list[str]) -> list[Machine]:
        """The machines of new workers, one worker each; those with another m2bench are refused."""
        try:
            answers = self._client.run(session.identify, workers=workers, on_error="return")
            reasons = {worker: _refusal(answer) for worker, answer in sorted(answers.items())}
            keys = {worker: (answers[worker].host, answers[worker].node) for worker in reasons if not reasons[worker]}
            asked = {key: worker for worker, key in reversed(keys.items()) if key not in self._machines}
            if asked:
                self._client.run(session.offer, workers=[*asked.values()])
        except OSError:  # one has gone meanwhile: they are asked at the next look
            self._workers -= {*workers}
            return []
        self._refused |= {worker: reason for worker, reason in reasons.items() if reason}
        self._spare |= keys
        return [self._named(key, worker) for key, worker in asked.items()]

    def _named(self, key: tuple[str, int], worker: str) -> Machine:
        """Called as its host, with the worker's address where another machine is called so too."""
        taken = {machine.name for machine in self._machines.values()}
        name = f"{key[0]} ({worker})" if key[0] in taken else key[0]
        self._machines[key] = Machine(name, worker)
        return self._machines[key]

    def refused(self) -> dict[str, str]:
        """Workers that cannot take part, and why; each is told once."""
        told, self._refused = self._refused, {}
        return told

    def has(self, machine: Machine) -> bool:
        """Whether the machine's worker was there at the last look."""
        return machine.worker in self._workers

    def ask(self, machine: Machine, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have the machine do something, and wait for it.

        Raises what it raises, but Refused for a UserError; MachineLost when it has gone, Stopped when nobody waits for
        it any more.
        """
        if self._stopped.is_set():
            raise Stopped
        future = self._client.submit(
            function, *args, workers=[machine.worker], allow_other_workers=False,
            resources={session.RESOURCE: 1}, retries=0, pure=False, **kwargs,
        )  # fmt: skip
        try:
            self._wait(machine, future)
            with refusing():
                answer: T = future.result()
            return answer
        except _lost_errors() as error:
            raise MachineLost(_first_line(error)) from error
        finally:
            future.release()

    def _wait(self, machine: Machine, future: Future[T]) -> None:
        done = Event()
        future.add_done_callback(lambda _: done.set())
        while not done.wait(WATCH_S):
            if self._stopped.is_set():
                raise Stopped
            if future.status in ("cancelled", "lost"):
                raise MachineLost("the connection to the scheduler was lost")
            if not self.has(machine):
                raise MachineLost("its worker has gone")

    def end_sessions(self, run: str) -> None:
        """End the run on all machines that are there."""
        workers = [machine.worker for machine in self._machines.values() if self.has(machine)]
        if workers and self._client.status == "running":
            self._client.run(session.end, run, workers=workers, on_error="ignore")


def import_dask(*modules: str) -> None:
    """Import Dask, which then says nothing by itself: this run does. UserError where a module is not installed."""
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        raise UserError(
            f"several machines need Dask, and {error.name} is not installed here.",
            "Install it with: pip install 'm2bench[fleet]'",
        ) from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _unconnected(scheduler: str, error: Exception) -> UserError:
    if scheduler.startswith("tls://") or "encryption" in str(error):
        advice = (
            "Start one there with certificates, give its address as tls://HOST:8786, and name certificates that it "
            "accepts in Dask's configuration here, as distributed.comm.tls."
        )
    else:
        advice = (
            "Start one there with: dask scheduler, and give its address as tcp://HOST:8786; tls:// where it asks for "
            "certificates."
        )
    return UserError(f"no Dask scheduler answers at {scheduler} ({error}).", advice)


def _lost_errors() -> tuple[type[BaseException], ...]:
    """What Dask raises where a task cannot be done for reasons that are not its own."""
    from concurrent.futures import CancelledError

    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker, NoValidWorkerError

    return (CancelledError, FutureCancelledError, CommClosedError, KilledWorker, NoValidWorkerError)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refusal(answer: Identity | Exception) -> str | None:
    """Why a worker cannot take part; None where it can."""
    if isinstance(answer, Exception):
        told = f"{type(answer).__name__}: {_first_line(answer)}"
        if "No module named" in told or "ImportError" in told:  # Dask tells it as text
            return f"there is no m2bench {__version__} ({told}): install it where the Dask worker runs"
        return f"it cannot be asked ({told})"
    if answer.version != __version__:
        return f"m2bench is {answer.version} there and {__version__} here: install the same"
    if answer.digest != package_digest():
        return "its m2bench is not the same as here, though the version is: install the same"
    if not answer.has_torch:
        return "there is no torch: install m2bench with its dependencies where the Dask worker runs"
    return None

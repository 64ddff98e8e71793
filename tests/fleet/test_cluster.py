"""Which of Dask's workers are asked, by a client that is made up."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from m2bench import __version__
from m2bench.errors import UserError
from m2bench.fleet import machine_session
from m2bench.fleet.cluster import Cluster, Machine, Refused, Stopped
from m2bench.fleet.machine_session import Identity
from m2bench.store.sources import package_digest


class Answer(Future[Any]):
    """What Dask's futures have besides."""

    def release(self) -> None:
        pass


class Client:
    """Workers by their addresses, each on a host; ``leaves`` goes when it is offered what trials need."""

    status = "running"

    def __init__(self, **hosts: str) -> None:
        self.hosts = hosts
        self.leaves: str | None = None
        self.other: dict[str, dict[str, Any]] = {}
        """What other workers have than this m2bench."""
        self.submitted: list[object] = []
        self.answer = Answer()

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.hosts, 1)

    def run(self, function: object, *, workers: list[str], on_error: str = "raise") -> dict[str, Identity]:
        if function is machine_session.offer and self.leaves in workers:
            del self.hosts[self.leaves]
            self.leaves = None
            raise OSError("Timed out trying to connect")
        own = Identity("", 1, __version__, package_digest())
        return {worker: replace(own, host=self.hosts[worker], **self.other.get(worker, {})) for worker in workers}

    def submit(self, function: object, *args: object, **kwargs: object) -> Future[Any]:
        self.submitted.append(function)
        return self.answer


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client(w1="one", w2="one", w3="three")
    monkeypatch.setattr(Cluster, "_connected", lambda self: found)
    return found


def workers(found: list[Machine]) -> list[tuple[str, str]]:
    return sorted((machine.name, machine.worker) for machine in found)


def test_another_worker_of_a_machine_takes_over(client: Client) -> None:
    cluster = Cluster("tcp://made.up:1")
    assert workers(cluster.look()) == [("one", "w1"), ("three", "w3")]
    assert cluster.look() == []
    del client.hosts["w1"]
    assert workers(cluster.look()) == [("one", "w2")]
    client.hosts["w1"] = "one"
    assert cluster.look() == []


def test_a_worker_that_leaves_while_it_is_asked_costs_no_other(client: Client) -> None:
    client.leaves = "w1"
    cluster = Cluster("tcp://made.up:1")
    assert cluster.look() == []
    assert workers(cluster.look()) == [("one", "w2"), ("three", "w3")]


def test_what_the_user_can_put_right_on_a_machine_is_told_from_what_fails_here(client: Client) -> None:
    client.answer.set_exception(UserError("it has no torch.", "Install it."))
    cluster = Cluster("tcp://made.up:1")
    with pytest.raises(Refused, match=r"it has no torch\. Install it\."):
        cluster.ask(cluster.look()[0], print)


def test_nothing_is_asked_after_the_end(client: Client) -> None:
    cluster = Cluster("tcp://made.up:1")
    (machine,) = [machine for machine in cluster.look() if machine.name == "three"]
    cluster.stop()
    with pytest.raises(Stopped):
        cluster.ask(machine, print)
    assert not client.submitted


def test_workers_that_could_not_measure_the_same_are_told_what_they_lack(client: Client) -> None:
    client.other = {"w1": {"version": "0.0.1"}, "w2": {"has_torch": False}, "w3": {"digest": "another"}}
    cluster = Cluster("tcp://made.up:1")
    assert cluster.look() == []
    assert cluster.refused() == {
        "w1": f"m2bench is 0.0.1 there and {__version__} here: install the same",
        "w2": "there is no torch: install m2bench with its dependencies where the Dask worker runs",
        "w3": "its m2bench is not the same as here, though the version is: install the same",
    }
    assert cluster.refused() == {}, "told once"


def test_a_machine_without_torch_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_session.identify().has_torch
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not machine_session.identify().has_torch

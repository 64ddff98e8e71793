"""What a process of a profile looks at, with a system whose clock is known."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from m2bench.records.combinations import Layers
from m2bench.records.inspected import Looks, Pictured
from m2bench.records.results import Counts, Proof
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.interface import Told
from m2bench.worker.profiling import ROUNDS, profile_combination

FAST_S, SLOW_S = 1 / 16, 1 / 8  # of an episode; sums of them have no rounding


class Looked:
    """Takes ``episode_s`` an episode, as ``now`` has it; its proof is how many updates its window held."""

    episodes_per_update = 1
    compiles = False

    def __init__(self, episode_s: Callable[[float], float]) -> None:
        self.now = 0.0
        self.episode_s = episode_s
        self.in_window = False
        self.updates_in_window = 0
        self.collecting: list[bool] = []

    def update(self) -> float:
        self.updates_in_window += self.in_window
        self._work()
        return 0.0

    def told(self, found: float) -> Told:
        return Told()

    def _work(self) -> None:
        self.collecting.append(gc.isenabled())
        self.now += self.episode_s(self.now)

    @contextmanager
    def timed_window(self) -> Iterator[None]:
        self.in_window = True
        yield
        self.in_window = False

    def proofs(self) -> dict[str, Proof]:
        return {"layer": Proof(self.updates_in_window > 0, {"updates": self.updates_in_window})}

    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]:
        self.watch = watch
        return nullcontext()

    def pieces(self) -> Iterator[tuple[Callable[[], object], int]]:
        yield self._piece, 1

    def _piece(self) -> None:
        with self.watch("forward"):
            self._work()

    def count(self) -> Counts:
        return Counts({}, {})

    def nothing(self) -> None:
        pass

    synchronize = check_finite = evaluate = close = nothing


def profiled(system: Looked, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Looks:
    def build(spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> Looked:
        return system

    monkeypatch.setattr(time, "perf_counter", lambda: system.now)
    workload: Any = SimpleNamespace(build=build)
    return profile_combination(workload, WorkloadSpec(), Path(), ("layer",), 0, seconds, files=None)


def test_the_proof_is_of_undisturbed_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    found = profiled(Looked(lambda now: FAST_S), monkeypatch, seconds=1.0)
    assert found.proofs["layer"].evidence == {"updates": 4}


def test_nothing_is_collected_while_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection would land in one phase of one turn."""
    system = Looked(lambda now: FAST_S)
    profiled(system, monkeypatch, seconds=1.0)
    looks = system.collecting[system.collecting.index(False) :]
    assert len(looks) > 2 * ROUNDS
    assert not any(looks)
    assert gc.isenabled()


def test_phases_add_up_to_the_episode_on_a_machine_that_becomes_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the rounds at either speed; the fast ones have room for twice as many turns."""
    warmup_s, look_s = 1.0 + 5 * SLOW_S, 1.0
    fast_from = warmup_s + ROUNDS / 2 * 2 * look_s
    found = profiled(Looked(lambda now: SLOW_S if now < fast_from else FAST_S), monkeypatch, seconds=ROUNDS * look_s)
    assert sum(found.phases_ms.values()) == pytest.approx(1e3 * (FAST_S + SLOW_S) / 2)
    assert found.undisturbed_ms == pytest.approx(1e3 * (FAST_S + SLOW_S) / 2)


def test_without_pictures_torch_profiler_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = profiled(Looked(lambda now: FAST_S), monkeypatch, seconds=1.0)
    assert not isinstance(found, Pictured)

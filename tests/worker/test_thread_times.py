"""Updates with several numbers of threads, of a system whose clock is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from m2bench.errors import TrainingEnded
from m2bench.records.spec import WorkloadSpec
from m2bench.worker.thread_times import LEAST_TURNS, time_threads

CANDIDATES = (1, 2, 4)


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def timed(monkeypatch: pytest.MonkeyPatch, ends_after: int) -> tuple[list[tuple[float, ...]], list[str]]:
    """The times of an update with each number of threads, which takes that many seconds; what the system was asked."""
    now = [0.0]
    asked: list[str] = []
    monkeypatch.setattr("m2bench.worker.thread_times.time.perf_counter", lambda: now[0])

    def update() -> None:
        if asked.count("update") == ends_after:
            raise TrainingEnded("train ended")
        asked.append("update")
        now[0] += torch.get_num_threads()

    system: Any = SimpleNamespace(update=update, synchronize=lambda: None, close=lambda: asked.append("close"))
    workload: Any = SimpleNamespace(build=lambda *_, **__: system)
    found = time_threads(workload, WorkloadSpec(), Path(), [()], CANDIDATES)
    assert [each.threads for each in found] == [*CANDIDATES]
    return [each.update_s[0] for each in found], asked


def test_each_number_has_as_many_updates_as_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = timed(monkeypatch, ends_after=1000)
    assert found == [(threads,) * LEAST_TURNS for threads in CANDIDATES]
    assert asked == ["update"] * (1 + LEAST_TURNS * len(CANDIDATES)) + ["close"]


@pytest.mark.parametrize(("ends_after", "turns"), [(4, 1), (6, 1), (7, 2), (9, 2)])
def test_of_training_that_ends_early_the_whole_turns_decide(
    monkeypatch: pytest.MonkeyPatch, ends_after: int, turns: int
) -> None:
    found, asked = timed(monkeypatch, ends_after)
    assert found == [(threads,) * turns for threads in CANDIDATES]
    assert asked[-1] == "close"


@pytest.mark.parametrize("ends_after", [0, 1, 3])
def test_without_a_whole_turn_it_is_said_that_training_ended(monkeypatch: pytest.MonkeyPatch, ends_after: int) -> None:
    with pytest.raises(TrainingEnded, match="train ended"):
        timed(monkeypatch, ends_after)

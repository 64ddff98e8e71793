"""How long updates take with other numbers of threads: one process, by turns, so that all meet the same moments."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from m2bench.errors import TrainingEnded
from m2bench.records.combinations import Layers
from m2bench.records.description import ThreadTimes
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.interface import System, Workload

LEAST_TURNS = 3
MOST_TURNS = 9
SECONDS = 1.0  # of each combination; the least turns must be reached, however long they take


def time_threads(
    workload: Workload, spec: WorkloadSpec, work: Path, combinations: Sequence[Layers], candidates: Sequence[int]
) -> list[ThreadTimes]:
    """Seconds of the combinations' updates with each number of threads. Raises TrainingEnded as ``_by_turns`` does."""
    times: dict[int, list[list[float]]] = {threads: [] for threads in candidates}
    for layers in combinations:
        system = workload.build(spec, work, layers, seed=0)
        try:
            for threads, seconds in _by_turns(system, candidates).items():
                times[threads].append(seconds)
        finally:
            system.close()
    return [ThreadTimes(threads=threads, update_s=tuple(map(tuple, found))) for threads, found in times.items()]


def _by_turns(system: System, candidates: Sequence[int]) -> dict[int, list[float]]:
    """Seconds of one update a turn with each number of threads, in an order that turns round.

    Of training that ends before that, the whole turns count. Raises TrainingEnded where there is none.
    """
    turns: list[dict[int, float]] = []
    system.update()  # what happens but once
    system.synchronize()
    begin = time.perf_counter()
    try:
        while len(turns) < MOST_TURNS and (len(turns) < LEAST_TURNS or time.perf_counter() - begin <= SECONDS):
            order = candidates[:: -1 if len(turns) % 2 else 1]
            turns.append({threads: _timed_update(system, threads) for threads in order})
    except TrainingEnded:
        if not turns:
            raise
    return {threads: [turn[threads] for turn in turns] for threads in candidates}


def _timed_update(system: System, threads: int) -> float:
    torch.set_num_threads(threads)
    mark = time.perf_counter()
    system.update()
    system.synchronize()
    return time.perf_counter() - mark

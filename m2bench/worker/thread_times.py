"""How long updates take with other numbers of threads: one process, by turns, so that all meet the same moments."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

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
    """Seconds of the combinations' updates with each number of threads."""
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
    """Seconds of one update a turn with each number of threads, in an order that turns round."""
    times: dict[int, list[float]] = {threads: [] for threads in candidates}
    system.update()  # what happens but once
    system.synchronize()
    begin = time.perf_counter()
    for turn in range(MOST_TURNS):
        if turn >= LEAST_TURNS and time.perf_counter() - begin > SECONDS:
            break
        for threads in candidates[:: -1 if turn % 2 else 1]:
            torch.set_num_threads(threads)
            mark = time.perf_counter()
            system.update()
            system.synchronize()
            times[threads].append(time.perf_counter() - mark)
    return times

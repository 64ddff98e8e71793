"""One side of a profile: where the time, memory and operators of one combination go. Runs in a worker.

Looks at one trainer: undisturbed updates and updates cut into phases by the clock, by turns, so that what watching
costs is known; one more update for a picture; then one turn under torch.profiler; then counts.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean
from typing import Any

from . import devices
from .phase_times import cut_into_phases, watch_turn
from .profiler_window import Window
from .spec import Layers, WorkloadSpec
from .stopwatch import Cut
from .trial import System, Workload, timed_updates

ROUNDS = 4

Document = dict[str, Any]


def profile_combination(
    workload: Workload, spec: WorkloadSpec, work: Path, layers: Layers, seed: int, seconds: float, files: Path | None
) -> Document:
    """What all looks found, as a JSON document; times in ms per episode unless the name says otherwise.

    ``seconds``: of undisturbed updates, and about as many of watched ones. ``files``: the traces go there, with
    suffixes of their own; None: there are none.
    """
    device = devices.resolve_device(spec.device)
    system = workload.build(spec, work, layers, seed)
    try:
        timed_updates(system, 1)
        timed_updates(system, 2, seconds / ROUNDS)
        undisturbed_ms, turns = _look(system, seconds / ROUNDS)
        proofs = system.proofs()
        timeline = _timeline(cut_into_phases(system, system.update).cuts)
        window = Window(system, devices.profiler_activities(device), devices.allocated_mb(device))
        counts = system.count()
        begin = time.perf_counter()
        system.evaluate()
        evaluation_s = time.perf_counter() - begin
    finally:
        system.close()
    phases_ms = {name: fmean(turn.get(name, 0.0) for turn in turns) for name in turns[0]}
    kernels = window.kernels()
    busy_ms, gap_ms = window.busy_and_gap_ms()
    return {
        "layers": list(layers),
        "compiles": system.compiles,
        "proofs": proofs,
        "undisturbed_ms": undisturbed_ms,
        "phases_ms": phases_ms,
        "timeline": timeline,
        "episodes_per_update": system.episodes_per_update,
        "watching_overhead": sum(phases_ms.values()) / undisturbed_ms - 1,
        "profiler_overhead": window.wall_ms / undisturbed_ms - 1,
        "operators": window.operators(),
        "kernels": kernels,
        "kernel_busy_ms": busy_ms if kernels else None,
        "launch_gap_ms": gap_ms if kernels else None,
        "no_kernels_because": None if kernels else devices.why_no_kernel_times(device),
        "peak_memory_mb": window.peak_memory_mb(),
        "memory_is_sampled": window.memory_is_sampled,
        "counts": counts,
        "evaluation_s": evaluation_s,
        "files": {} if files is None else window.write(files),
    }


def _look(system: System, round_s: float) -> tuple[float, list[dict[str, float]]]:
    """Milliseconds per episode undisturbed, and watched turns; alternating, since the machine's speed drifts."""
    undisturbed_ms: list[float] = []
    turns: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        update_s, _ = timed_updates(system, 1, round_s)
        undisturbed_ms.append(1e3 * fmean(update_s) / system.episodes_per_update)
        begin = time.perf_counter()
        while not turns or time.perf_counter() - begin < round_s:
            turns.append(watch_turn(system))
    return fmean(undisturbed_ms), turns


def _timeline(cuts: list[Cut]) -> list[tuple[str, float, float]]:
    """Phase, begin and length, in ms from the first cut on."""
    start = cuts[0][1]
    return [(name, 1e3 * (begin - start), 1e3 * (end - begin)) for name, begin, end in cuts]

"""One side of a profile: where the time, memory and operators of one combination go. Runs in a worker.

Looks at one trainer: undisturbed updates and updates cut into phases by the clock, by turns, so that what watching
costs is known; then, in one process of a side, one more update for a picture and one pass under torch.profiler; then
counts.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean

import torch

from m2bench.devices import torch_device
from m2bench.devices.counters import count_pieces
from m2bench.devices.phase_clock import Cut
from m2bench.devices.phase_times import cut_into_phases, phase_ms
from m2bench.devices.profiler_window import Window
from m2bench.errors import TrainerError, TrainingEnded
from m2bench.records.combinations import Layers
from m2bench.records.inspected import Looks, Pictured
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.interface import System, Told, Workload

from .losses_and_returns import units_of
from .timing import no_collections, timed_updates

Picture = tuple[list[Cut], Window]
ROUNDS = 8  # the machine's speed may change from one to the next, and so in both kinds of looks alike


def profile_combination(
    workload: Workload, spec: WorkloadSpec, work: Path, layers: Layers, seed: int, seconds: float, files: Path | None
) -> Looks:
    """What all looks found; times in ms per episode unless the name says otherwise.

    ``seconds``: of undisturbed updates, and about as many of watched ones. ``files``: the traces go there, with
    suffixes of their own; None: no picture is taken, and torch.profiler is not asked.
    """
    system, device = workload.build(spec, work, layers, seed), torch_device.resolve_device(spec.device)
    picture: Picture | None = None
    try:
        timed_updates(system, 1)
        timed_updates(system, 2, seconds / ROUNDS)
        with system.timed_window():
            _, told = timed_updates(system, 4)
        proofs = system.proofs()
        with no_collections():
            undisturbed_ms, phases_ms = _look(system, seconds / ROUNDS)
            if files is not None:
                picture = _take_picture(system, device)
        counts = system.count()
        if counts is None:
            counts = count_pieces(system, device)
        begin = time.perf_counter()
        system.evaluate()
        evaluation_s = time.perf_counter() - begin
    except TrainingEnded as ended:
        raise TrainerError(f"{ended}, which is too short for a profile; let it train for longer") from None
    finally:
        system.close()
    looks = Looks(
        layers=layers,
        compiles=system.compiles,
        proofs=proofs,
        undisturbed_ms=undisturbed_ms,
        phases_ms=phases_ms,
        episodes_per_update=system.episodes_per_update,
        told_per_update=told_per_update(told),
        counts=counts,
        evaluation_s=evaluation_s,
    )
    return looks if picture is None or files is None else _pictured(looks, picture, device, files)


def told_per_update(told: list[Told]) -> float | None:
    """How many units an update says that it processed, on average; None where updates do not say."""
    units = [each.units for each in told if each.units is not None]
    return fmean(units) if units else None


def _take_picture(system: System, device: torch.device) -> Picture:
    """The cuts of one update, and one pass as torch.profiler sees it."""
    cuts = cut_into_phases(system, system.update).cuts
    return cuts, Window(system, torch_device.profiler_activities(device), torch_device.allocated_mb(device))


def _pictured(looks: Looks, picture: Picture, device: torch.device, files: Path) -> Pictured:
    """The looks with what the picture shows, and its files."""
    cuts, window = picture
    kernels, (busy_ms, gap_ms) = window.kernels(), window.busy_and_gap_ms()
    return Pictured(
        **vars(looks),
        timeline=_timeline(cuts),
        operators=window.operators(),
        kernels=kernels,
        kernel_busy_ms=busy_ms if kernels else None,
        launch_gap_ms=gap_ms if kernels else None,
        no_kernels_because=None if kernels else torch_device.why_no_kernel_times(device),
        peak_memory_mb=window.peak_memory_mb(),
        memory_is_sampled=window.memory_is_sampled,
        files=window.write(files),
        profiler_overhead=window.wall_ms / looks.undisturbed_ms - 1,
    )


def _look(system: System, round_s: float) -> tuple[float, dict[str, float]]:
    """Milliseconds per episode undisturbed, and in each phase while being watched.

    Both in every round, the one or the other first, and each round counts alike: the machine's speed drifts, and a
    fast moment has room for more passes.
    """
    undisturbed_ms: list[float] = []
    watched: list[dict[str, float]] = []
    for number in range(ROUNDS):
        for is_watched in (False, True) if number % 2 == 0 else (True, False):
            if is_watched:
                watched.append(_watched(system, round_s))
            else:
                undisturbed_ms.append(_undisturbed(system, round_s))
    return fmean(undisturbed_ms), _means(watched)


def _undisturbed(system: System, seconds: float) -> float:
    update_s, told = timed_updates(system, 1, seconds)
    return 1e3 * sum(update_s) / units_of(system, told)


def _watched(system: System, seconds: float) -> dict[str, float]:
    begin = time.perf_counter()
    passes = [phase_ms(system)]
    while time.perf_counter() - begin < seconds:
        passes.append(phase_ms(system))
    return _means(passes)


def _means(phases: list[dict[str, float]]) -> dict[str, float]:
    return {name: fmean(each.get(name, 0.0) for each in phases) for name in phases[0]}


def _timeline(cuts: list[Cut]) -> tuple[tuple[str, float, float], ...]:
    """Phase, begin and length, in ms from the first cut on."""
    start = cuts[0][1]
    return tuple((name, 1e3 * (begin - start), 1e3 * (end - begin)) for name, begin, end in cuts)

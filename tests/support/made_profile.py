"""Sides of a profile whose figures are made up, and so known."""

from __future__ import annotations

from typing import Any

from m2bench.inspect.profile_records import ProfiledSide
from m2bench.records.combinations import Layers
from m2bench.records.description import Unit
from m2bench.records.results import Counts

EPISODE = Unit("episode", "episodes")
MACHINE = (0.9, 1.1, 0.8, 1.25)  # how long everything takes in the processes of each pair


def counts(dispatches: float = 100.0, flops: float = 5e6, **lines: dict[str, float]) -> Counts:
    """With so many ``syncs``, ``copies`` and ``doubles`` at source lines."""
    places = {name: lines.get(name, {}) for name in ("syncs", "copies", "doubles")}
    totals = {name: sum(found.values()) for name, found in places.items()}
    return Counts({"dispatches": dispatches, "kernels": dispatches, "flops": flops, **totals}, places)


def side(
    layers: Layers = (),
    ms: float = 100.0,
    machine: tuple[float, ...] = MACHINE,
    phases_ms: dict[str, float] | None = None,
    **changes: Any,
) -> ProfiledSide:
    """One that takes so long undisturbed, as mean over processes that are as fast as ``machine`` says."""
    phases = phases_ms or {"forward": 0.6 * ms, "backward": 0.3 * ms, "other": 0.1 * ms}
    told: dict[str, Any] = {
        "layers": layers,
        "compiles": False,
        "proofs": {},
        "undisturbed_ms": ms,
        "phases_ms": phases,
        "episodes_per_update": 1,
        "counts": counts(),
        "evaluation_s": 1.0,
        "timeline": (),
        "operators": {},
        "kernels": {},
        "kernel_busy_ms": None,
        "launch_gap_ms": None,
        "no_kernels_because": None,
        "peak_memory_mb": {},
        "memory_is_sampled": False,
        "files": {},
        "profiler_overhead": 1.5,
        "conditions": (),
        "counts_repeat": True,
        "undisturbed_each_ms": tuple(slow * ms for slow in machine),
        "phases_each_ms": tuple({name: slow * each for name, each in phases.items()} for slow in machine),
        **changes,
    }
    return ProfiledSide(**told)

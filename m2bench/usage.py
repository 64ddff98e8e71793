"""What a combination asks of its machine: phases, counts, and how busy the machine is with it; from its trials."""

from __future__ import annotations

from statistics import median
from typing import Any

from .store import StoredTrial

COUNTS = ("dispatches", "kernels", "syncs", "copies", "doubles", "flops")
TELEMETRY = ("cpu_share", "device_share", "device_share_of_everybody", "memory_used_mb", "device_memory_used_mb",
             "power_w", "temperature_c", "device_temperature_c")  # fmt: skip

Document = dict[str, Any]


def summarize_usage(
    trials: list[StoredTrial], episodes_per_min: float | None, peak_flops: float, has_device_telemetry: bool
) -> Document:
    """Medians over the trials; None for what none of them could tell.

    ``utilization``: the share of the timed window in which the device computes, None where its telemetry
    (``has_device_telemetry``) could not be read; on the CPU, of all cores together.
    ``mfu``: matrix-product operations per second as a share of ``peak_flops``, the most that was measured in float32.
    """
    per_episode = [trial.result["counts"]["per_episode"] for trial in trials]
    told = [trial.conditions.get("telemetry") or {} for trial in trials]
    telemetry = {name: _median([t[name] for t in told if name in t]) for name in TELEMETRY}
    counts = {f"{name}_per_episode": _median([counts[name] for counts in per_episode]) for name in COUNTS}
    flops, device_share = counts["flops_per_episode"], telemetry["device_share"]
    return {
        **counts,
        "mfu": None if flops is None or episodes_per_min is None else flops * episodes_per_min / 60 / peak_flops,
        "utilization": device_share if has_device_telemetry else telemetry["cpu_share"],
        "telemetry": telemetry,
        "telemetry_not_available": {k: v for t in told for k, v in t.get("not_available", {}).items()},
        "phase_ms_per_episode": _phases(trials),
    }


def _phases(trials: list[StoredTrial]) -> dict[str, float] | None:
    if not trials:
        return None
    phases = [trial.result["phase_ms_per_episode"] for trial in trials]
    return {name: median(phase[name] for phase in phases) for name in phases[0]}


def _median(values: list[float]) -> float | None:
    return median(values) if values else None

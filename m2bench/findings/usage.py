"""What a combination asks of its machine: phases, counts, and how busy the machine is with it; from its trials."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from m2bench.records.figure import Figure
from m2bench.records.results import TelemetryMeans
from m2bench.statistics.estimate import Estimate, figure_of, typical
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.rows import Usage

COUNTS = ("dispatches", "kernels", "syncs", "copies", "doubles", "flops")
# Older runs have cpu_share in place of own_cpu_share: that of all processes of the machine.
TELEMETRY = ("own_cpu_share", "cpu_share", "device_share", "device_share_of_everybody", "memory_used_mb",
             "device_memory_used_mb", "power_w", "temperature_c", "device_temperature_c")  # fmt: skip


def summarize_usage(
    trials: list[StoredTrial], episodes_per_min: Estimate | None, peak_flops: float, has_device_telemetry: bool
) -> Usage:
    """What is typical of the trials; counts are medians of those that counted. None for what no trial measured.

    ``utilization``: the share of the timed window in which the device computes, None where its telemetry
    (``has_device_telemetry``) could not be read; on the CPU, the share of all cores that the trial's own processes use
    (in older runs, that all processes use).
    ``mfu``: matrix-product operations per second as a share of ``peak_flops``, the most that was measured in float32.
    """
    per_episode = [trial.timed.counts.per_episode for trial in trials if trial.timed.counts]
    told = [trial.conditions.telemetry for trial in trials if trial.conditions and trial.conditions.telemetry]
    telemetry = {name: _median(_told(told, name)) for name in TELEMETRY}
    counts = {f"{name}_per_episode": _median([counts[name] for counts in per_episode]) for name in COUNTS}
    flops = counts["flops_per_episode"]
    used = None if flops is None or episodes_per_min is None else episodes_per_min.scaled(flops / 60 / peak_flops)
    of_the_cpu = "cpu_share" if telemetry["own_cpu_share"] is None else "own_cpu_share"
    busy = "device_share" if has_device_telemetry else of_the_cpu
    phases = [found for trial in trials if (found := trial.timed.phase_ms_per_episode)]
    return Usage(
        **counts,
        mfu=figure_of(used),
        utilization=figure_of(typical(_told(told, busy))),
        telemetry=telemetry,
        telemetry_not_available={k: v for t in told for k, v in t.not_available.items()},
        phase_ms_per_episode=_phases(phases),
        phases_sum_ms=figure_of(typical(sum(phase.values()) for phase in phases)),
    )


def _phases(phases: list[Mapping[str, float]]) -> dict[str, Figure] | None:
    """Milliseconds per episode of each phase."""
    found = {name: typical(phase[name] for phase in phases) for name in (phases[0] if phases else ())}
    return {name: phase.figure for name, phase in found.items() if phase} or None


def _told(telemetry: list[TelemetryMeans], name: str) -> list[float]:
    """What the trials told under this name, those that told it."""
    return [value for each in telemetry if (value := getattr(each, name)) is not None]


def _median(values: list[float]) -> float | None:
    return median(values) if values else None

"""What a combination asks of its machine: phases, counts, and how busy the machine is with it; from its trials."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from m2bench.records.description import Device, Prepared
from m2bench.records.figure import Figure
from m2bench.records.matmul_peaks import peak_of
from m2bench.records.results import TelemetryMeans
from m2bench.statistics.estimate import Estimate, figure_of, typical
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.rows import Usage

COUNTS = ("dispatches", "kernels", "syncs", "copies", "doubles", "flops", "half_flops", "product_bytes")
# Older runs have cpu_share in place of own_cpu_share: that of all processes of the machine.
TELEMETRY = ("own_cpu_share", "cpu_share", "device_share", "device_share_of_everybody", "memory_used_mb",
             "device_memory_used_mb", "power_w", "temperature_c", "device_temperature_c")  # fmt: skip


def summarize_usage(
    trials: list[StoredTrial], episodes_per_min: Estimate | None, prepared: Prepared, device: Device
) -> Usage:
    """What is typical of the trials; counts are medians of those that counted. None for what no trial measured.

    ``utilization``: the share of the timed window in which the device computes, None where its telemetry
    could not be read; on the CPU, the share of all cores that the trial's own processes use
    (in older runs, that all processes use).
    ``mfu``: matrix-product operations per second as a share of ``peak_flops``, the most of the precisions and the cores
    that these trials use; in runs of earlier versions, of float32 in one process.
    """
    per_episode = [trial.timed.counts.per_episode for trial in trials if trial.timed.counts]
    told = [trial.conditions.telemetry for trial in trials if trial.conditions and trial.conditions.telemetry]
    telemetry = {name: _median(_told(told, name)) for name in TELEMETRY}
    counts = {
        f"{name}_per_episode": _median([counts[name] for counts in per_episode if name in counts]) for name in COUNTS
    }
    flops = counts["flops_per_episode"]
    processes = max((trial.timed.processes for trial in trials), default=1)
    cores = (processes if processes > 1 else device.torch_threads) if device.device == "cpu" else None
    peak = None if flops is None else _peak_flops(flops, counts["half_flops_per_episode"] or 0.0, prepared, cores or 1)
    used = episodes_per_min and flops and peak and episodes_per_min.scaled(flops / 60 / peak)
    of_the_cpu = "cpu_share" if telemetry["own_cpu_share"] is None else "own_cpu_share"
    busy = "device_share" if device.telemetry is not None else of_the_cpu
    phases = [found for trial in trials if (found := trial.timed.phase_ms_per_episode)]
    return Usage(
        **counts,
        peak_flops=peak,
        cores=cores,
        mfu=figure_of(used or None),
        utilization=figure_of(typical(_told(told, busy))),
        telemetry=telemetry,
        telemetry_not_available={k: v for t in told for k, v in t.not_available.items()},
        phase_ms_per_episode=_phases(phases),
        phases_sum_ms=figure_of(typical(sum(phase.values()) for phase in phases)),
    )


def _peak_flops(flops: float, half_flops: float, prepared: Prepared, cores: int) -> float:
    """Operations per second where every product runs at the peak of its precision, by so many cores."""
    single, half = (peak_of(prepared.peaks, is_half, cores) for is_half in (False, True))
    if single is None:
        return prepared.peak_flops
    half = half or single
    return flops / ((flops - half_flops) / single.flops + half_flops / half.flops) if flops else single.flops


def _phases(phases: list[Mapping[str, float]]) -> dict[str, Figure] | None:
    """Milliseconds per episode of each phase."""
    found = {name: typical(phase[name] for phase in phases) for name in (phases[0] if phases else ())}
    return {name: phase.figure for name, phase in found.items() if phase} or None


def _told(telemetry: list[TelemetryMeans], name: str) -> list[float]:
    """What the trials told under this name, those that told it."""
    return [value for each in telemetry if (value := getattr(each, name)) is not None]


def _median(values: list[float]) -> float | None:
    return median(values) if values else None

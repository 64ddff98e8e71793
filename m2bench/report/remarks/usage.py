"""What is counted beside the speed: memory, phases, operators, utilization."""

from __future__ import annotations

from m2bench.report.sentences import is_own_program, listed, name_of_peak
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import digits


def usage_remarks(summary: Summary) -> list[str]:
    """What memory, phases and counts are of, as far as they are known."""
    has_phases = any(c.usage.phase_ms_per_episode for c in summary.combinations)
    return [*_memory(summary), *([OF_PHASES] if has_phases else []), *_counts(summary), *_not_available(summary)]


def _memory(summary: Summary) -> list[str]:
    """Whose memory is told, if any is."""
    if all(c.peak_memory_mb is None for c in summary.combinations):
        return []
    return [OF_MEMORY_OF_A_PROGRAM if is_own_program(summary) else OF_MEMORY]


OF_MEMORY = (
    "Memory is the peak of the device's allocator. On the CPU it is the peak of the trial's main process, torch "
    "included, and what the processes that load data or learn beside it hold for themselves alone, where the system "
    "tells; in runs of earlier versions, of the main process alone."
)
OF_MEMORY_OF_A_PROGRAM = "Memory is the peak of the largest process of the command, on the host."
OF_PHASES = (
    "Phases are timed after the timed window, waiting for the device at the end of each phase (waiting for "
    "data is from the timed window). They show where the time goes; the speed is measured without them."
)


def _counts(summary: Summary) -> list[str]:
    """What is counted, and what the columns are shares of, as far as any of it is told."""
    usages, said = [c.usage for c in summary.combinations], []
    if any(usage.dispatches_per_episode is not None for usage in usages):
        said.append(
            "Dispatched operators, values read by the host (on a GPU each is a wait for the device) and matrix-product "
            f"operations are counted outside of the timed window, without the preparation of "
            f"{summary.system.unit.many}; operators that a compiler has fused are not counted."
        )
    if any(usage.utilization is not None for usage in usages):
        said.append(f"Utilization is {_utilization_of(summary)}.")
    if summary.peaks and any(usage.mfu is not None for usage in usages):
        said.append(
            f"The matrix-product peak is the highest rate measured on this machine in the precisions and by the cores "
            f"that a combination uses: {_peaks(summary)}."
        )
    elif any(usage.mfu is not None for usage in usages):
        said.append(
            "The matrix-product peak is the highest float32 rate measured on this machine with the threads of one "
            f"process, {summary.peak_flops / 1e9:,.0f} GFLOP/s; products of a lower precision, and trials whose layers "
            "compute in several processes, are compared with it as well."
        )
    return [" ".join(said)] if said else []


def _peaks(summary: Summary) -> str:
    """All that were measured."""
    each = (f"{name_of_peak(peak, summary.device)} {digits(peak.flops / 1e9)} GFLOP/s" for peak in summary.peaks)
    return listed(list(each))


def _utilization_of(summary: Summary) -> str:
    """What the column is a share of, by what the trials told (usage.py)."""
    if summary.machine.device.telemetry:
        return "that of the GPU"
    if any(c.usage.telemetry.get("own_cpu_share") is not None for c in summary.combinations):
        return "the share of all cores that the trial's own processes used"
    return "that of all cores together"


def _not_available(summary: Summary) -> list[str]:
    """What this machine does not tell, and why."""
    missing = {f"{name}: {why}" for c in summary.combinations for name, why in c.usage.telemetry_not_available.items()}
    return [f"Not available on this machine ({found})." for found in sorted(missing)]

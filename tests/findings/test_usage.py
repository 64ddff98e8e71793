"""Utilization of the CPU is called what the stored trials measured: it was of all processes once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_run import make_run

from m2bench.findings.summarize_ablation import summarize
from m2bench.findings.usage import summarize_usage
from m2bench.records.matmul_peaks import MatmulPeak, peak_of
from m2bench.records.results import Conditions, Counts, TelemetryMeans
from m2bench.report.remarks import remarks
from m2bench.statistics.estimate import Estimate


@pytest.mark.parametrize(
    ("told", "utilization", "words"),
    [
        ({"own_cpu_share": 0.4}, 0.4, "Utilization is the share of all cores that the trial's own processes used."),
        ({"cpu_share": 0.9}, 0.9, "Utilization is that of all cores together."),
    ],
)
def test_utilization_is_said_to_be_of_what_it_was_measured_of(
    told: dict[str, Any], utilization: float, words: str, tmp_path: Path
) -> None:
    with make_run(tmp_path / "run") as store:
        conditions = Conditions(other_cores=0.0, telemetry=TelemetryMeans(**told))
        trials = [replace(trial, conditions=conditions) for trial in store.trials()]
        summary = summarize("run", store.record(), trials)
    assert {c.usage.utilization and c.usage.utilization.value for c in summary.combinations} == {utilization}
    assert words in " ".join(remarks(summary))


def test_trials_that_did_not_count_leave_the_counts_to_those_that_did(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        record = store.record()
        of_one = [trial for trial in store.trials() if trial.spec.kind == "speed" and not trial.spec.layers]
    uncounted = [replace(trial, result=replace(trial.timed, counts=None)) for trial in of_one[1:]]
    machine = record.prepared, record.description.device
    assert summarize_usage([of_one[0], *uncounted], None, *machine).dispatches_per_episode == 600.0
    assert summarize_usage(uncounted, None, *machine).dispatches_per_episode is None


@pytest.mark.parametrize(
    ("half_flops", "processes", "share"),
    [
        (0.0, 1, 0.2),  # 600 operations 1000 times a second, of 3 million by a thread in float32
        (600.0, 1, 0.1),  # of 6 million in bfloat16
        (300.0, 1, 0.15),  # 300 take 0.1 ms at the peak, 300 take 0.05 ms, of 1 ms
        (0.0, 2, 0.12),  # of 5 million by both cores
        (600.0, 2, 0.06),  # of 10 million by both
        (600.0, 3, 0.06),  # which are as many as were measured
    ],
)
def test_the_peak_is_that_of_the_precision_and_the_cores_that_are_used(
    half_flops: float, processes: int, share: float, tmp_path: Path
) -> None:
    with make_run(tmp_path / "run") as store:
        record, trial = store.record(), store.trials()[0]
    peaks = [("float32", 1, 3e6), ("bfloat16", 1, 6e6), ("float32", 2, 5e6), ("bfloat16", 2, 10e6)]
    prepared = replace(record.prepared, peaks=tuple(MatmulPeak(*peak) for peak in peaks))
    counts = Counts({"flops": 600.0, "half_flops": half_flops, "product_bytes": 150.0}, {})
    trial = replace(trial, result=replace(trial.timed, counts=counts, processes=processes))
    device = replace(record.description.device, torch_threads=1)
    usage = summarize_usage([trial], Estimate(60_000.0), prepared, device)
    assert usage.mfu is not None
    assert usage.mfu.value == pytest.approx(share)
    assert usage.flops_per_s is not None
    assert usage.flops_per_s.value == pytest.approx(600_000.0)
    assert usage.flops_per_byte == 4.0
    of_before = summarize_usage([trial], Estimate(60_000.0), replace(prepared, peaks=()), device)
    assert of_before.peak_flops == prepared.peak_flops


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 16), (4, 16), (16, 16), (32, 16)])
def test_a_peak_is_of_no_fewer_cores_where_there_is_one(cores: int, expected: int) -> None:
    peaks = [MatmulPeak("float32", measured, 1e9 * measured) for measured in (1, 16)]
    found = peak_of(peaks, False, cores)
    assert found is not None
    assert found.cores == expected

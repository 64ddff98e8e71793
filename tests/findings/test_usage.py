"""Utilization of the CPU is called what the stored trials measured: it was of all processes once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_run import make_run

from m2bench.findings.summarize_ablation import summarize
from m2bench.findings.usage import summarize_usage
from m2bench.records.results import Conditions, TelemetryMeans
from m2bench.report.remarks import remarks


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
        of_one = [trial for trial in store.trials() if trial.spec.kind == "speed" and not trial.spec.layers]
    uncounted = [replace(trial, result=replace(trial.timed, counts=None)) for trial in of_one[1:]]
    assert summarize_usage([of_one[0], *uncounted], None, 1e9, False).dispatches_per_episode == 600.0
    assert summarize_usage(uncounted, None, 1e9, False).dispatches_per_episode is None

"""The files of a report: complete, escaped, and the same for the same results."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from m2bench.errors import UserError
from m2bench.plan import make_trials
from m2bench.report import show_report, write_report
from m2bench.spec import RunSpec
from m2bench.store import RunRecord, Store, StoredTrial
from m2bench.tables import digits
from m2bench.usage import COUNTS

TARGET = {
    "measure": "greedy", "good_policy": "the known good policy", "good_return": 5.0, "ignorant_return": 0.0,
    "share": 0.6, "return": 3.0,
}  # fmt: skip
MARKUP = "[red]a|b<script>_x_[/red]"
SPEC = RunSpec(("amp", MARKUP), ("full",), 1, seed=0)


def description() -> dict[str, Any]:
    claim = {"low": 1.5, "high": 2, "text": "1.5-2x", "difficulty": "low", "priority": "low", "source": "test",
             "phase": None}  # fmt: skip
    return {
        "device": {"device": "cpu", "torch": "2.0", "torch_threads": 2, "device_name": "fake"},
        "prepare_s": 2.0,
        "peak_flops": 1e6,
        "machine": {
            "chip": "a chip", "physical_cores": 2, "logical_cores": 2, "memory_mb": 8000.0, "system": "Linux 6",
            "power": None, "python": "3.11", "environment": {"OMP_NUM_THREADS": "2"},
        },
        "workload": {
            "market": {"name": MARKUP, "candles": 5000},
            "options": {"num_envs": 32},
            "hyperparameters": {"episode_length": 128, "policy_size": "default"},
            "good_return": 5.0,
            "target": TARGET,
        },
        "layers": [
            {"name": name, "part": name, "claim": claim, "compiles": False, "unsupported": None, "exact": True}
            for name in ("amp", MARKUP)
        ],
    }  # fmt: skip


def result(speed: float) -> dict[str, Any]:
    return {
        "episodes_per_update": 1, "update_s": [60 / speed], "episodes_per_min": speed,
        "env_steps_per_s": speed, "setup_s": 0.1,
        "warmup_update_s": [0.1], "window_error": 0.01, "timer_share": 1e-4, "energy_j_per_episode": None,
        "compile_s": None, "peak_memory_mb": {"device": None, "host": 5.0}, "proofs": {}, "eval_return": 1.0,
        "gates_s": 0.1,
        "gates": {"gradient": {"same": True, "evidence": {}, "reason": None}},
        "phase_ms_per_episode": {"loss": 1.0},
        "counts": {"per_episode": dict.fromkeys(COUNTS, 600.0), "lines": {}},
    }  # fmt: skip


def make_run(folder: Path, trials: int = 5) -> Store:
    store = Store.create(folder, RunRecord(SPEC, "2026-01-01T00:00:00+00:00", description()))
    for trial in make_trials(SPEC)[:trials]:
        speed = 100.0 * (4.0 if "amp" in trial.layers else 1.0)
        store.add(StoredTrial(trial, "2026-01-01T00:00:01+00:00", 1.0, "ok", None, None, result(speed)))
    return store


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_has_the_shape_other_programs_read(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        write_report(store)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["schema"], summary["run"], summary["device"]) == (1, "run", "cpu")
    assert len(summary["combinations"]) == 4
    assert {
        "layers", "status", "reason", "trials", "episodes_per_min", "episodes_per_min_ci", "speedup", "speedup_ci",
        "ms_per_episode", "compile_s", "peak_memory_mb", "utilization", "mfu", "dispatches_per_episode",
        "syncs_per_episode", "eval_return", "time_to_target_s", "numerics", "learning",
    } <= set(summary["combinations"][0])  # fmt: skip
    assert {
        "name", "alone", "last", "main_effect", "shapley", "shapley_ci", "share", "claim", "verdict", "learning",
    } <= set(summary["layers"][0])  # fmt: skip
    assert summary["layers"][0]["alone"] == pytest.approx(4.0)


def test_the_csv_has_one_row_per_layer(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        write_report(store)
    rows = list(csv.DictReader((tmp_path / "run" / "impact.csv").read_text().splitlines()))
    assert [row["layer"] for row in rows] == ["amp", MARKUP]
    assert float(rows[0]["alone"]) == pytest.approx(4.0)
    assert float(rows[0]["shapley"]) == pytest.approx(4.0)
    assert rows[0]["time_to_target"] == ""


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        write_report(store)
        files = ("summary.json", "impact.csv", "report.md")
        first = {name: (tmp_path / "run" / name).read_bytes() for name in files}
        write_report(store)
        assert {name: (tmp_path / "run" / name).read_bytes() for name in files} == first


def test_markup_in_a_name_is_shown_not_obeyed(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        summary = write_report(store)
    text = (tmp_path / "run" / "report.md").read_text()
    assert "<script>" not in text
    assert r"\[red\]a\|b\<script\>\_x\_\[/red\]" in text
    console = Console(width=200, file=io.StringIO())
    show_report(summary, tmp_path / "run", console)
    assert MARKUP in shown(console)


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_an_interrupted_run_is_reported_with_what_is_missing(trials: int, tmp_path: Path) -> None:
    with make_run(tmp_path / "run", trials) as store:
        write_report(store)
    text = (tmp_path / "run" / "report.md").read_text()
    assert f"{trials} of 5 trials done" in text
    assert "missing: not run yet" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_report_fits_its_width(width: int, tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        summary = write_report(store)
    console = Console(width=width, file=io.StringIO())
    show_report(summary, Path("reports/run"), console)
    assert max(len(line) for line in shown(console).splitlines()) <= width


def test_a_report_that_cannot_be_written_is_said_and_leaves_no_half(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        (tmp_path / "run" / "summary.json").mkdir()
        with pytest.raises(UserError, match=r"summary\.json cannot be written"):
            write_report(store)
    assert not list((tmp_path / "run").glob(".*.partial"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.00"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234"), (-2.5, "-2.50")],
)
def test_digits_are_trimmed(value: float | None, text: str) -> None:
    assert digits(value) == text

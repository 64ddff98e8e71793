"""The files of a report: complete, escaped, and the same for the same results."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from made_run import MARKUP, make_run
from rich.console import Console

from m2bench.errors import UserError
from m2bench.report import show_report, write_report
from m2bench.tables import digits


def written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sqlite"]


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
        first = {path: path.read_bytes() for path in written(tmp_path / "run")}
        assert {path.suffix for path in first} == {".json", ".csv", ".md", ".html", ".svg", ".png"}
        write_report(store)
        assert {path: path.read_bytes() for path in written(tmp_path / "run")} == first


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
    with make_run(tmp_path / "run", trials=trials) as store:
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

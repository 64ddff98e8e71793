"""The files of a report: complete, escaped, and the same for the same results."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import FULL, MARKUP, make_run
from markupsafe import escape
from rich.console import Console

from m2bench.errors import UserError
from m2bench.report import show_report, write_report
from m2bench.report.charts import Chart, NotDrawn, draw_charts
from m2bench.report.markdown import plain
from m2bench.report.sections import sections
from m2bench.report.tables import impact_table
from m2bench.spec import WorkloadSpec
from m2bench.tables import Table, digits, draw_table, within


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
    """But for the two lines that are there to be copied."""
    with make_run(tmp_path / "run") as store:
        summary = write_report(store)
    console = Console(width=width, file=io.StringIO())
    show_report(summary, Path("reports/run"), console)
    assert max(len(line) for line in shown(console).splitlines()[:-2]) <= width


@pytest.mark.parametrize(("width", "left_out"), [(60, True), (100, True), (300, False)])
def test_a_narrow_terminal_leaves_out_columns_instead_of_breaking_words(
    width: int, left_out: bool, tmp_path: Path
) -> None:
    with make_run(tmp_path / "run", spec=FULL) as store:
        summary = write_report(store)
    console = Console(width=width, file=io.StringIO())
    draw_table(impact_table(summary), console)
    assert ("Left out at this width: difficulty, memory" in " ".join(shown(console).split())) == left_out
    rows = [line for line in shown(console).splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == [*FULL.layers, "all together"]


def test_above_the_prompt_stand_the_main_result_the_command_and_the_page(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=FULL) as store:
        summary = write_report(store)
    console = Console(width=200, file=io.StringIO())
    show_report(summary, Path("reports/run"), console)
    headline, command, page = shown(console).splitlines()[-3:]
    assert headline.startswith("On this a chip (cpu) the fastest combination trains ")
    assert command == "Train it: m2bench train --with amp,vectorized-loss"
    assert page == "Report: reports/run/report.html"


def test_the_command_trains_the_recommended_set_as_it_was_measured(tmp_path: Path) -> None:
    workload = WorkloadSpec(data="my candles.csv", num_envs=64, lr_scaling="sqrt", compile_backend="eager")
    with make_run(tmp_path / "run", spec=replace(FULL, workload=workload)) as store:
        text = write_report(store) and (tmp_path / "run" / "report.md").read_text()
    # Neither batching nor compile is in it, so their options would be refused.
    assert "\nm2bench train --with amp,vectorized-loss --data 'my candles.csv' --lr-scaling sqrt\n" in text


@pytest.mark.parametrize(
    ("variables", "watched", "styled"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm"}, False, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "piped"],
)
def test_no_colour_where_none_is_wanted(variables: dict[str, str], watched: bool, styled: bool, tmp_path: Path) -> None:
    """Bold and dim are not colours; what is no terminal, or a dumb one, gets neither."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return watched

    with make_run(tmp_path / "run") as store:
        summary = write_report(store)
    console = Console(width=120, file=Terminal(), _environ=variables)
    show_report(summary, Path("reports/run"), console)
    codes = set(re.findall(r"\x1b\[([\d;]*)m", shown(console)))
    assert bool(codes) == styled
    assert codes <= {"0", "1", "2"}


def test_a_single_block_says_what_it_has_no_interval_for(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=replace(FULL, blocks=1)) as store:
        summary = write_report(store)
    text = (tmp_path / "run" / "report.md").read_text()
    best = next(c for c in summary["combinations"] if c["layers"] == summary["best"]["layers"])
    assert best["peak_memory_mb_ci"] is None
    assert "a figure without them is of one trial" in text
    assert "72 of 72 trials done, in 1 block." in text


def test_a_very_long_name_of_a_run_harms_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 40)
    with make_run(folder) as store:
        summary = write_report(store)
    assert json.loads((folder / "summary.json").read_text())["run"] == folder.name
    console = Console(width=80, file=io.StringIO())
    show_report(summary, folder, console)
    assert shown(console).splitlines()[-1] == f"Report: {folder / 'report.html'}", "in one piece, to be copied"


def test_markdown_and_page_hold_the_same_parts(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=FULL) as store:
        summary = write_report(store)
        charts = draw_charts(summary)
    text, page = ((tmp_path / "run" / f"report.{suffix}").read_text() for suffix in ("md", "html"))
    found = sections(summary, charts)
    parts = [part for section in found for part in section.parts]
    assert [section.name for section in found] == ["pays", "learning", "time", "combinations", "sure", "machine"]
    assert {part.name for part in parts if isinstance(part, Chart | NotDrawn)} == {
        chart.name for chart in charts if chart.name != "environments"
    }
    for title in [part.title for part in parts if isinstance(part, Table)]:
        assert f"### {plain(title)}\n" in text
        assert str(escape(title)) in page


def test_every_figure_of_a_table_carries_its_interval_or_a_note_says_why_not(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=FULL) as store:
        summary = write_report(store)
    counted = {"operators dispatched", "values read by the host", "matrix-product MFLOP", "utilization"}
    exact = {"#", "claimed before", "claimed after", "episodes per update", "range"}
    for table in [part for section in sections(summary) for part in section.parts if isinstance(part, Table)]:
        for row in table.rows:
            if row[0] in counted:
                continue
            bare = [
                (table.title, row[0], column, cell)
                for column, cell in zip(table.columns, row, strict=True)
                if column in table.numeric - exact and cell not in ("-", "") and "[" not in cell
            ]
            assert not bare


def test_a_report_that_cannot_be_written_is_said_and_leaves_no_half(tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        (tmp_path / "run" / "summary.json").mkdir()
        with pytest.raises(UserError, match=r"summary\.json cannot be written"):
            write_report(store)
    assert not list((tmp_path / "run").glob(".*.partial"))


def test_without_permission_it_says_what_where_and_what_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, content: bytes) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with make_run(tmp_path / "run") as store:
        monkeypatch.setattr(Path, "write_bytes", refused)  # who runs the tests may be root, who may write anywhere
        with pytest.raises(UserError) as said:
            write_report(store)
    where = tmp_path / "run" / "summary.json"
    assert str(said.value) == (
        f"{where} cannot be written: Permission denied. Make room, give yourself access, or copy the folder to a place "
        "of your own."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (-2.5, "-2.50"),
        (0.0132, "0.013"),
    ],
)
def test_digits_are_trimmed(value: float | None, text: str) -> None:
    assert digits(value) == text


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (None, None, "-"),
        (1.234, None, "1.23x"),
        (36.52, (35.18, 37.91), "36.5x [35.2, 37.9]"),  # half-width 1.4
        (4.281, (2.384, 7.697), "4.3x [2.4, 7.7]"),  # half-width 2.7
        (8.816, (4.902, 15.86), "8.8x [4.9, 15.9]"),
        (32_396.0, (31_241.0, 33_594.0), "32,400x [31,200, 33,600]"),  # half-width 1,200
        (1_462.0, (939.0, 2_275.0), "1,460x [940, 2,280]"),  # half-width 670
        (0.013_24, (0.012_9, 0.013_6), "0.013x [0.013, 0.014]"),
        (5.0, (5.0, 5.0), "5.00x [5.00, 5.00]"),  # what does not vary
    ],
)
def test_digits_beyond_the_noise_are_left_out(
    value: float | None, interval: tuple[float, float] | None, text: str
) -> None:
    assert within(value, interval, "x" if value is not None else "") == text

"""The files of a report: complete, escaped, and the same for the same results."""

from __future__ import annotations

import csv
import errno
import html
import io
import json
import math
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every import every_combination
from laid_out import leave_pictures_empty
from made_run import FULL, MARKUP, make_run
from markupsafe import escape
from repository import ROOT
from rich.console import Console

from m2bench.errors import UserError
from m2bench.findings.summarize_ablation import summarize
from m2bench.machine.identity import describe_machine
from m2bench.options.run_spec import RunSpec
from m2bench.records.figure import Figure
from m2bench.records.results import Conditions
from m2bench.records.spec import WorkloadSpec
from m2bench.report.ablation_report import ablation_content
from m2bench.report.charts import Chart, NotDrawn, draw_charts
from m2bench.report.charts.style import Canvas
from m2bench.report.details import details
from m2bench.report.headline import headline
from m2bench.report.markdown import markdown as as_markdown
from m2bench.report.markdown import plain
from m2bench.report.page import page as as_page
from m2bench.report.recommendation import recommendation
from m2bench.report.remarks import remarks
from m2bench.report.sections import sections
from m2bench.report.tables.impact import impact_table
from m2bench.report.tables.learning import learning_table
from m2bench.report.terminal import show_content
from m2bench.report.write_report import write_report
from m2bench.store.results_database import Store
from m2bench.summary.ablation_summary import ByTime, Fastest, LeftOut, LeftOutState, Rival, Summary
from m2bench.summary.rows import LayerRow
from m2bench.text.console import plain_console
from m2bench.text.tables import Table, draw_table

SAMPLE = ROOT / "reports" / "sample"
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


def written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sqlite"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """The summary of a whole run."""
    with make_run(tmp_path_factory.mktemp("full") / "run", spec=FULL) as store:
        return summarize("run", store.record(), store.trials())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """The folder of a run of two layers, with its report, and the summary of that."""
    folder = tmp_path_factory.mktemp("small") / "run"
    with make_run(folder) as store:
        return folder, write_report(store)


def markdown(summary: Summary, charts: Sequence[Chart | NotDrawn]) -> str:
    return as_markdown(ablation_content(summary, charts))


def show_report(summary: Summary, folder: Path, console: Console) -> None:
    show_content(ablation_content(summary, (), folder), folder, console)


def page(summary: Summary, charts: Sequence[Chart | NotDrawn]) -> str:
    return as_page(ablation_content(summary, charts), summary)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_has_the_shape_other_programs_read(small: tuple[Path, Summary]) -> None:
    summary = json.loads((small[0] / "summary.json").read_text())
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


def test_the_csv_has_one_row_per_layer(small: tuple[Path, Summary]) -> None:
    rows = list(csv.DictReader((small[0] / "impact.csv").read_text().splitlines()))
    assert [row["layer"] for row in rows] == ["amp", MARKUP]
    assert float(rows[0]["alone"]) == pytest.approx(4.0)
    assert float(rows[0]["shapley"]) == pytest.approx(4.0)
    assert rows[0]["time_to_target"] == ""


def test_the_same_results_give_the_same_bytes(small: tuple[Path, Summary]) -> None:
    first = {path: path.read_bytes() for path in written(small[0])}
    assert {path.suffix for path in first} == {".json", ".csv", ".md", ".html", ".svg", ".png"}
    with Store.open(small[0]) as store:
        write_report(store)
    assert {path: path.read_bytes() for path in written(small[0])} == first


def test_the_sample_is_what_its_trials_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte; on another processor, whose linear algebra rounds otherwise, but for the last of all digits.

    The charts are laid out, for their titles, and not drawn, which would take most of the time.
    """
    titles = leave_pictures_empty(monkeypatch)
    monkeypatch.chdir(tmp_path)
    folder = Path("reports/sample")
    folder.mkdir(parents=True)
    shutil.copy(SAMPLE / "results.sqlite", folder)
    with Store.open(folder) as store:
        summary = write_report(store)
    for place in (folder, SAMPLE):
        assert page_headline(place) == markdown_headline(place)
    assert page_text(folder) == page_text(SAMPLE)
    for chart in titles:
        label = re.findall(r'aria-label="([^"]*)"', (SAMPLE / "charts" / f"{chart}.svg").read_text())[0]
        assert html.unescape(label) == titles[chart]
    assert (folder / "report.md").read_bytes() == (SAMPLE / "report.md").read_bytes()
    for name in ("summary.json", "impact.csv"):
        found, committed = ((place / name).read_text() for place in (folder, SAMPLE))
        if describe_machine().chip == summary.machine.machine.chip:
            assert found == committed
        assert re.split(NUMBER, found) == re.split(NUMBER, committed)
        values, expected = (list(map(float, re.findall(NUMBER, text))) for text in (found, committed))
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-12)


def page_text(folder: Path) -> str:
    """The page without its pictures."""
    return " ".join(re.sub(r"<svg.*?</svg>", "", (folder / "report.html").read_text(), flags=re.S).split())


def page_headline(folder: Path) -> str:
    """What a browser shows as the page's heading."""
    (heading,) = re.findall(r"<h1>(.*?)</h1>", (folder / "report.html").read_text(), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", heading)).split())


def markdown_headline(folder: Path) -> str:
    """What a forge shows as the first line in bold."""
    line = re.findall(r"^\*\*(.*)\*\*$", (folder / "report.md").read_text(), flags=re.M)[0]
    return re.sub(r"\\(.)", r"\1", line)


def test_the_headline_says_what_to_switch_on_how_much_faster_and_how_sure(full: Summary) -> None:
    """Planted: amp and vectorized-loss 5x; batching 16 times that, for 128 times the episodes to the target with
    grad-accumulation, so 8 times as late; episodes are known to the 10 % between two evaluations."""
    what, sure = headline(full)
    found = re.fullmatch(
        r"Switch on amp \+ vectorized-loss: (\d\.\d\d)x as fast as the baseline \[(\S+), (\S+)\] on a chip \(cpu\)\.",
        what,
    )
    assert found is not None
    assert float(found[2]) < 5.0 < float(found[3])
    assert sure == "Settled: no other set is more than 5% faster; no measurable effect: compile and grad-accumulation."
    learns, by_time, fastest, worth = details(full)
    assert re.fullmatch(
        r"It reaches the learning target (4\.[5-9]|5\.[0-5])\d?x \[\S+ \S+\] sooner than the baseline\.", learns
    )
    assert re.match(
        r"It is chosen because it reaches the learning target \S+x \[\S+ \S+\] sooner than batching\+amp", by_time
    )
    assert re.match(
        r"batching\+amp\+vectorized-loss\S* is 1[56]\.\dx \[\S+ \S+\] as fast as this set, but not recommended: the "
        r"recommended set reaches the learning target sooner \(\S+x \[\S+ \S+\]\)\.",
        fastest,
    )
    makers = re.match(r"batching and amp make 94\.\d% \[(94\.\d), (9[45]\.\d)\] of the gain; ", worth)
    assert makers is not None
    planted = 100 * math.log(16 * 4) / math.log(16 * 4 * 1.25)
    assert float(makers[1]) - 0.05 <= planted <= float(makers[2]) + 0.05
    assert worth.endswith("; no measurable effect: compile and grad-accumulation.")
    assert details(replace(full, gains=None, layers=neutral(full)))[3].startswith("No measurable effect: compile and")


def test_a_headline_fits_in_two_lines_of_100_characters(full: Summary) -> None:
    """Whatever is recommended, settled or not, of a run that is finished or not; the layers are those of the set."""
    for chosen in every_combination(FULL.layers):
        named = set(re.findall("|".join(FULL.layers), headline(advised(full, layers=chosen))[0]))
        assert named in ({*chosen}, {*FULL.layers} - {*chosen})
        cases: tuple[tuple[Any, int | None], ...] = (
            (None, 0),
            (None, 5),
            (None, 999),
            (None, None),
            ("speed", 5),
            ("learning", 0),
        )
        for unfinished, more in cases:
            run = replace(full, unfinished=unfinished, run="2026-11-26-151136")
            lines = headline(advised(run, layers=chosen, settled=more == 0, more_blocks=more))
            assert all(0 < len(line) <= 100 for line in lines), lines


def advised(summary: Summary, **changes: Any) -> Summary:
    """With another recommendation."""
    assert summary.recommended is not None
    return replace(summary, recommended=replace(summary.recommended, **changes))


def test_how_the_fastest_compares_with_the_recommended_is_told(full: Summary) -> None:
    close = Fastest(("batching",), Figure(1.02, (0.98, 1.06)), "")
    assert details(advised(full, fastest=close))[2] == (
        "batching is estimated to be 1.02x [0.98, 1.06] as fast as this set, but this is not shown."
    )
    assert "this is not shown" in details(advised(full, fastest=replace(close, ratio=Figure(1.02))))[2]
    assert not any("as fast as this set" in line for line in details(advised(full, fastest=None)))


def test_how_many_more_blocks_would_settle_it_is_told_with_the_command(full: Summary) -> None:
    command = "m2bench ablate --resume reports/run --more-blocks 6"
    open_ = advised(full, settled=False, more_blocks=6)
    assert headline(open_)[1] == f"Not settled: about 6 more blocks would decide ({command})."
    assert recommendation(open_)[-1] == f"Add blocks with: {command}"
    assert headline(open_, Path("/data/run"))[1].endswith("(m2bench ablate --resume /data/run --more-blocks 6).")
    assert recommendation(open_, Path("/my data/run"))[-1].endswith("--resume '/my data/run' --more-blocks 6")
    long = replace(open_, run="a folder with a very long name of its own")
    assert headline(long)[1] == "Not settled: about 6 more blocks would decide."
    assert "--resume 'reports/a folder with" in recommendation(long)[-1]
    assert "about 1 more block would" in headline(advised(full, settled=False, more_blocks=1))[1]
    hopeless = advised(full, settled=False, more_blocks=None)
    assert headline(hopeless)[1] == "Not settled: trials vary or fail too much here to tell the best sets apart."
    workload = replace(full.workload, spec=replace(full.workload.spec, design=("half",)))
    half = headline(replace(hopeless, workload=workload))[1]
    assert half == "Not settled: this design cannot tell the best sets apart; --all may."


@pytest.mark.parametrize(
    ("states", "compared"),
    [
        (("costs", "undecided"), "no other set is"),
        (("spoils",), "no other set that learns the same is"),
        (("spoils", "changed", "costs"), "no other set that computes and learns the same is"),
    ],
)
def test_what_is_settled_is_said_of_sets_that_do_the_same(
    full: Summary, states: tuple[LeftOutState, ...], compared: str
) -> None:
    """Another one may well be faster."""
    left = tuple(LeftOut(layer, Figure(4.6), state, False) for layer, state in zip(FULL.layers, states, strict=False))
    settled = headline(advised(full, left_out=left))[1]
    assert settled.startswith(f"Settled: {compared} more than 5% faster")


def test_why_nothing_is_switched_on_is_told(full: Summary) -> None:
    some = headline(advised(full, layers=()))[0]
    assert some.startswith("Switch on nothing: no measured set has only layers that are shown to help"), (
        "batching is shown to"
    )
    nothing = headline(advised(full, layers=(), left_out=()))[0]
    assert nothing == "Switch on nothing: no layer is shown to help on a chip (cpu)."


def test_what_the_time_to_the_target_would_choose_is_told_where_it_is_not_shown(full: Summary) -> None:
    other = ByTime(("amp",), shown=False, sooner=Figure(1.3, (0.6, 2.8)))
    assert details(advised(full, by_time=other))[1] == (
        "amp is estimated to reach the learning target 1.3x [0.6, 2.8] sooner than batching+amp+vectorized-loss, but "
        "this is not shown."
    )


def neutral(summary: Summary) -> tuple[LayerRow, ...]:
    """The layers that were planted to do nothing."""
    return tuple(layer for layer in summary.layers if layer.name in ("compile", "grad-accumulation"))


def test_what_reaches_the_target_first_is_doubted_where_this_is_not_shown(full: Summary) -> None:
    other = advised(full, layers=("batching",))
    assert re.match(
        r"amp\+vectorized-loss reaches the learning target first, \S+ \[\S+ \S+\] sooner than", details(other)[0]
    )
    unknown = details(replace(full, soonest_gain=None))[0]
    assert unknown.endswith("amp+vectorized-loss reaches the learning target first, of those whose time is known; the "
                            "baseline's is not.")  # fmt: skip
    for ends in ((0.9, 2.0), None):
        for summary in (full, other):
            unsure = replace(summary, soonest_gain=Figure(1.3, ends))
            assert details(unsure)[0].endswith("sooner than the baseline (not shown).")


def test_a_layer_whose_effect_depends_on_the_others_is_not_said_to_have_none(full: Summary) -> None:
    """A gain alone and a loss beside all others, which cancel on average."""
    split: dict[str, Any] = {"alone": Figure(1.06, (1.02, 1.1)), "last": Figure(0.94, (0.89, 0.998)),
             "shapley": Figure(0.985, (0.97, 1.00002))}  # fmt: skip
    layers = tuple(
        replace(layer, speed=replace(layer.speed, **split)) if layer.name == "compile" else layer
        for layer in full.layers
    )
    assert details(replace(full, layers=layers))[3].endswith(
        "; compile depends on the other layers: 1.06x [1.02, 1.10] alone, 0.94x [0.89, 0.998] added last, no "
        "measurable effect on average; no measurable effect: grad-accumulation."
    )


def test_each_layer_of_the_recommended_set_has_what_removing_it_would_change(full: Summary) -> None:
    """Planted: amp 4x, vectorized-loss 1.25x; without them a quarter and four fifths are left."""
    assert full.recommended is not None
    found = {kept.layer: kept.ratio for kept in full.recommended.kept}
    assert set(found) == {"amp", "vectorized-loss"}
    for name, planted in (("amp", 1 / 4), ("vectorized-loss", 1 / 1.25)):
        ratio = found[name]
        assert ratio is not None
        assert ratio.interval is not None
        assert ratio.value == pytest.approx(planted, rel=0.03)
        assert ratio.interval[0] < planted < ratio.interval[1]
    kept, added, rivals = recommendation(full)
    number = r"0\.\d+x \[0\.\d+, 0\.\d+\]"
    assert re.fullmatch(
        r"Every layer of the set is shown to help, by the speed or by the time to the learning target\. Speed left if "
        rf"one is removed: amp {number}, vectorized-loss {number}\.",
        kept,
    )
    assert re.match(
        r"Speed if one is added: batching 1\d\.\dx \[\S+ \S+\] \(reaches the learning target later\)", added
    )
    assert re.search(r", dataloader 0\.80x \[\S+ \S+\] \(not worth it\)", added)
    assert rivals.startswith("Possibly as good: amp+compile+vectorized-loss (1.00x [0.99, 1.01])")


def test_what_is_as_good_is_listed_and_more_blocks_have_their_command(full: Summary) -> None:
    rivals = tuple(Rival((name,), Figure(1.01, (0.9, 1.1)), None, None) for name in "abcdef")
    changed = advised(full, rivals=rivals, more_blocks=3, excluded="a+b was excluded: 1 of its 4 trials failed")
    *_, as_good, excluded, command = recommendation(changed)
    assert as_good.endswith("d (1.01x [0.90, 1.10]), and 2 more.")
    assert excluded == "a+b was excluded: 1 of its 4 trials failed."
    assert command == "Add blocks with: m2bench ablate --resume reports/run --more-blocks 3"


def test_the_way_to_more_blocks_names_the_runs_folder_wherever_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_pictures_empty(monkeypatch)
    one = replace(FULL, layers=("batching", "amp"), blocks=1, learning="off")
    with make_run(tmp_path / "my run", one) as store:
        summary = write_report(store)
    console = plain_console(width=300, file=io.StringIO())
    show_report(summary, tmp_path / "my run", console)
    command = f"m2bench ablate --resume '{tmp_path}/my run' --more-blocks 2"
    texts = [(tmp_path / "my run" / name).read_text() for name in ("report.md", "report.html")]
    for text in (shown(console), texts[0].replace("\\_", "_"), html.unescape(texts[1]).replace("<wbr>", "")):
        assert command in text


def test_how_many_trials_were_run_again_is_said_with_the_noise(tmp_path: Path) -> None:
    """Both attempts count, whichever of them the figures rest on."""
    with make_run(tmp_path / "run") as store:
        record, trials = store.record(), store.trials()
    assert not any("run again" in line for line in remarks(summarize("run", record, trials)))
    busy = [replace(trial, conditions=under(0.9)) for trial in trials]
    assert "No trial was run again because of other load." in remarks(summarize("run", record, busy))
    for load in (0.1, 1.5):
        again = [
            replace(t, spec=replace(t.spec, key=f"{t.spec.key}.again", repeats=t.spec.key), conditions=under(load))
            for t in busy[1:3]
        ]
        assert (
            "2 trials were run again at the end of a block, because other processes kept cores busy. Figures use the "
            "attempt with less other load."
        ) in remarks(summarize("run", record, [*busy, *again]))


def under(load: float) -> Conditions:
    return Conditions(other_cores=load, cores=2)


def test_a_run_that_was_stopped_is_to_be_continued_before_it_gets_more_blocks(tmp_path: Path) -> None:
    summary = advised(stopped(tmp_path, 80, replace(FULL, learning="off")), settled=False, more_blocks=3)
    assert headline(summary)[1].startswith("Not finished: 80 of ")
    assert recommendation(summary, Path("r"))[-1] == "Continue with: m2bench ablate --resume r"


def test_what_spoils_figures_of_a_machine_is_warned_of(full: Summary) -> None:
    summary = replace(
        full, machine=replace(full.machine, device=replace(full.machine.device, why_not_mps="macOS offers none"))
    )
    assert "Warning: --device auto takes the cpu and not this Mac's GPU: macOS offers none." in markdown(summary, [])
    assert "this Mac's GPU" not in markdown(full, [])


def test_warnings_stand_right_under_the_headline_and_once(full: Summary) -> None:
    said = "other processes kept up to 2.0 cores busy, which can distort every figure: close them"
    noise = replace(full.noise, conditions=replace(full.noise.conditions, warnings=(said,)))
    summary = replace(full, noise=noise)
    first, second = headline(summary)
    console = plain_console(width=300, file=io.StringIO())
    show_report(summary, Path("reports/run"), console)
    text, web, lines = markdown(summary, []), page(summary, []), shown(console).splitlines()
    for whole in (text, web, shown(console)):
        assert whole.count("can distort every figure") == 1
    assert f"**{plain(first)}**\n\n**{plain(second)}**\n\n> Warning: {said}.\n\n{plain(details(summary)[0])}\n" in text
    under = web.split("</h1>")[1]
    assert under.index("can distort every figure") < under.index('<p class="lead">')
    assert lines[lines.index(first) + 1 :][:2] == [second, f"Warning: {said}."]


def test_a_status_is_shown_whole(tmp_path: Path) -> None:
    reason = "cannot load [Errno 12]: no memory: see [the manual]"
    with make_run(tmp_path / "run", faults={("amp",): ("failed", reason)}) as store:
        web = page(summarize("run", store.record(), store.trials()), [])
    assert f"failed: {reason}" in html.unescape(web.split('class="sortable"')[1])


def test_markup_in_a_name_is_shown_not_obeyed(small: tuple[Path, Summary]) -> None:
    folder, summary = small
    text = (folder / "report.md").read_text()
    assert "<script>" not in text
    assert r"\[red\]a\|b\<script\>\_x\_\[/red\]" in text
    console = plain_console(width=200, file=io.StringIO())
    show_report(summary, folder, console)
    assert MARKUP in shown(console)


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_an_interrupted_run_is_reported_with_what_is_missing(
    trials: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_pictures_empty(monkeypatch)
    with make_run(tmp_path / "run", trials=trials) as store:
        write_report(store)
    text = (tmp_path / "run" / "report.md").read_text()
    assert f"**Not finished: {trials} of 5 speed trials done; the advice may change.**" in text
    assert f"{trials} of 5 speed trials done, in 1 block." in text
    assert "missing: not run yet" in text
    assert f"{4 - trials} of 4 combinations have not been run yet" in text
    assert "fastest |" not in text or trials > 1  # the baseline alone is neither fastest nor recommended


def stopped(folder: Path, trials: int | None, spec: RunSpec = FULL) -> Summary:
    """The summary of a run that was stopped after so many trials."""
    with make_run(folder / f"run{trials}", spec=spec, trials=trials) as store:
        return summarize("run", store.record(), store.trials())


def test_a_run_stopped_while_learning_says_that_it_may_recommend_another_set(full: Summary, tmp_path: Path) -> None:
    """Planted: by speed alone batching is in the set; by the time to the target it is not."""
    speed = full.trials_planned
    for trials, so_far in ((speed, "0"), (speed + 3, "3")):
        summary = stopped(tmp_path, trials)
        assert (summary.trials_done, summary.unfinished) == (speed, "learning")
        first, second = headline(summary)
        assert first.startswith("So far: switch on ")
        assert second == f"Not finished: {so_far} learning trials done so far; the advice may change."
        assert summary.recommended is not None
        assert "batching" in summary.recommended.layers
    assert full.recommended is not None
    assert "batching" not in full.recommended.layers
    assert full.unfinished is None
    assert "finished" not in " ".join(headline(full))


def test_a_run_is_finished_when_nothing_that_was_asked_for_is_missing(tmp_path: Path) -> None:
    spec = replace(FULL, layers=("amp", "batching"))
    whole = stopped(tmp_path, None, spec)
    trials = whole.trials_planned + whole.learning.trials
    assert stopped(tmp_path, trials - 1, spec).unfinished == "learning"
    assert whole.unfinished is None
    without = stopped(tmp_path / "off", whole.trials_planned, replace(spec, learning="off"))
    assert without.unfinished is None


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_report_fits_its_width(width: int, small: tuple[Path, Summary]) -> None:
    """But for the two lines that are there to be copied."""
    console = plain_console(width=width, file=io.StringIO())
    show_report(small[1], Path("reports/run"), console)
    assert max(len(line) for line in shown(console).splitlines()[:-2]) <= width


@pytest.mark.parametrize(("width", "left_out"), [(60, True), (100, True), (300, False)])
def test_a_narrow_terminal_leaves_out_columns_instead_of_breaking_words(
    width: int, left_out: bool, full: Summary
) -> None:
    console = plain_console(width=width, file=io.StringIO())
    draw_table(impact_table(full), console)
    assert ("Left out at this width: difficulty, memory" in " ".join(shown(console).split())) == left_out
    rows = [line for line in shown(console).splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == [*FULL.layers, "all together"]


def test_above_the_prompt_stand_the_main_result_the_command_and_the_page(full: Summary) -> None:
    console = plain_console(width=200, file=io.StringIO())
    show_report(full, Path("reports/run"), console)
    what, sure, command, where = shown(console).splitlines()[-4:]
    assert (what, sure) == headline(full)
    assert command == "Train it: m2bench train --with amp,vectorized-loss"
    assert where == "Report: reports/run/report.html"


def test_the_command_trains_the_recommended_set_as_it_was_measured(tmp_path: Path) -> None:
    workload = WorkloadSpec(
        "auto", "my candles.csv", {"num_envs": 64, "lr_scaling": "sqrt", "compile_backend": "eager"}
    )
    with make_run(tmp_path / "run", spec=replace(FULL, workload=workload)) as store:
        text = markdown(summarize("run", store.record(), store.trials()), [])
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
def test_no_colour_where_none_is_wanted(
    variables: dict[str, str], watched: bool, styled: bool, small: tuple[Path, Summary]
) -> None:
    """Bold and dim are not colours; what is no terminal, or a dumb one, gets neither."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return watched

    console = plain_console(width=120, file=Terminal(), _environ=variables)
    show_report(small[1], Path("reports/run"), console)
    codes = set(re.findall(r"\x1b\[([\d;]*)m", shown(console)))
    assert bool(codes) == styled
    assert codes <= {"0", "1", "2"}


def test_a_single_block_says_what_it_has_no_interval_for(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=replace(FULL, blocks=1)) as store:
        summary = summarize("run", store.record(), store.trials())
    text = markdown(summary, [])
    assert summary.best is not None
    assert summary.best.peak_memory_mb is not None
    assert summary.best.peak_memory_mb.interval is None
    assert "A figure without brackets is from one trial" in text
    assert "72 of 72 speed trials done, in 1 block." in text


def test_a_very_long_name_of_a_run_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_pictures_empty(monkeypatch)
    folder = tmp_path / ("long-" * 40)
    with make_run(folder) as store:
        summary = write_report(store)
    assert json.loads((folder / "summary.json").read_text())["run"] == folder.name
    console = plain_console(width=80, file=io.StringIO())
    show_report(summary, folder, console)
    assert shown(console).splitlines()[-1] == f"Report: {folder / 'report.html'}", "in one piece, to be copied"


def test_markdown_and_page_hold_the_same_parts(full: Summary) -> None:
    charts = draw_charts(full)
    text, shown_page = markdown(full, charts), page(full, charts)
    found = sections(full, charts)
    parts = [part for section in found for part in section.parts]
    assert [section.name for section in found] == ["pays", "learning", "time", "combinations", "sure", "machine"]
    assert {part.name for part in parts if isinstance(part, Chart | NotDrawn)} == {
        chart.name for chart in charts if chart.name != "environments"
    }
    for title in [part.title for part in parts if isinstance(part, Table)]:
        assert f"### {plain(title)}\n" in text
        assert str(escape(title)) in shown_page


def test_every_figure_of_a_table_carries_its_interval_or_a_note_says_why_not(full: Summary) -> None:
    counted = {
        "operators dispatched", "values read by the host", "matrix-product MFLOP", "matrix-product FLOP per byte",
        "utilization",
    }  # fmt: skip
    exact = {"#", "claimed before", "claimed after", "episodes per update", "range"}
    for table in [part for section in sections(full) for part in section.parts if isinstance(part, Table)]:
        for row in table.rows:
            if row[0] in counted:
                continue
            bare = [
                (table.title, row[0], column, cell)
                for column, cell in zip(table.columns, row, strict=True)
                if column in table.numeric - exact and re.search(r"\d", cell) and "[" not in cell
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
        f"{where} cannot be written: Permission denied. Free some disk space, check the permissions, or copy the "
        "folder elsewhere."
    )


# --- figures of which nothing is known

ABSURD = (1e-8, 3e8)


@pytest.fixture
def unknown(full: Summary) -> Summary:
    """The run's summary with figures that nothing is known of: one layer's, one combination's, the time to target."""
    absurd = Figure(1.7, ABSURD)
    layer, combination, cell = full.layers[0], full.combinations[5], full.learning.cells[0]
    layer = replace(
        layer, speed=replace(layer.speed, alone=absurd), claimed_effect=absurd, time_to_target=absurd,
        learning=replace(layer.learning, learning_effect=Figure(0.0, (-9.0, 9.0)), learning_seeds=2),
        verdict="inconclusive",
    )  # fmt: skip
    combination = replace(
        combination, speedup=absurd, episodes_per_min=absurd,
        learning=replace(combination.learning, episodes_to_target=absurd, time_to_target_s=absurd),
    )  # fmt: skip
    cells = (replace(cell, episodes_to_target=absurd), *full.learning.cells[1:])
    return replace(
        full,
        layers=(layer, *full.layers[1:]),
        combinations=(*full.combinations[:5], combination, *full.combinations[6:]),
        learning=replace(full.learning, cells=cells),
        soonest_gain=Figure(0.4, (0.0, 3e8)),
    )


def test_no_sentence_or_table_gives_a_figure_of_which_nothing_is_known(unknown: Summary) -> None:
    said = [*headline(unknown), *details(unknown)]
    assert not any("0.40x" in line or "300,000,000" in line for line in said)
    assert any("how much sooner is not known" in line for line in said)
    text = markdown(unknown, [])
    assert "300,000,000" not in text
    assert "more than 100 times" in text
    assert "return not known, 2 seeds" in text
    impact = impact_table(unknown)
    assert impact.rows[0][impact.columns.index("alone")] == "not known"


def test_no_chart_draws_a_figure_of_which_nothing_is_known(unknown: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    finish = Canvas.finish

    def spied(canvas: Canvas, *words: str) -> Chart:
        for axis in canvas.axes:
            seen.extend(float(value) for line in axis.lines for value in np.concatenate(line.get_data()))
            seen.extend((*axis.get_xlim(), *axis.get_ylim()))
        return finish(canvas, *words)

    monkeypatch.setattr(Canvas, "finish", spied)
    charts = {chart.name: chart for chart in draw_charts(unknown)}
    assert max(map(abs, seen)) < 1e7
    for name in ("claims", "combinations"):
        chart = charts[name]
        assert isinstance(chart, Chart)
        assert "not known" in chart.svg


# --- what is left of a gain


def test_gain_surviving_is_told_of_gains_that_are_shown_and_a_net_loss_is_called_one(full: Summary) -> None:
    """A layer of no effect has no gain to survive, on whichever side of 1 its point estimate fell."""
    for layer in full.layers:
        assert layer.speed.alone is not None
        assert layer.speed.alone.interval is not None
        assert layer.time_to_target is not None
        shown = layer.speed.alone.interval[0] > 1
        assert (layer.gain_surviving is not None) == (shown and layer.time_to_target.value > 1)
    cases = (
        (Figure(1.1, (0.9, 1.3)), Figure(0.9, (0.5, 1.6)), None),
        (Figure(1.1, (1.05, 1.15)), Figure(0.91, (0.85, 0.97)), None),
        (Figure(1.1, (1.05, 1.15)), Figure(0.91, (0.5, 1.6)), None),
        (Figure(16.0, (15.0, 17.0)), Figure(8.0, (5.0, 12.0)), Figure(0.5, (0.4, 0.6))),
    )
    first = full.layers[0]
    layers = tuple(
        replace(first, speed=replace(first.speed, alone=alone), time_to_target=to_target, gain_surviving=surviving)
        for alone, to_target, surviving in cases
    )
    table = learning_table(replace(full, layers=layers))
    assert table is not None
    at = table.columns.index("gain surviving")
    assert [row[at] for row in table.rows] == ["-", "net loss", "net loss, not shown", "50% [40, 60]"]

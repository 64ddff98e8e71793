"""The report of a user's own trainer: in its own unit, without what it does not tell."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from users_runs import FUNCTION, LOSS, SPS, TIME, TRAINERS, Trainer, make_users_run

from m2bench.errors import UserError
from m2bench.findings.frames import Run, read_run
from m2bench.inspect.trials_behind import trace
from m2bench.records.combinations import combination_name
from m2bench.report.charts import NotDrawn, draw_charts
from m2bench.report.details import details
from m2bench.report.headline import headline
from m2bench.report.recommendation import recommendation, training_call
from m2bench.report.remarks import remarks
from m2bench.report.sections import sections
from m2bench.report.tables.before_and_after import before_and_after_table
from m2bench.report.tables.combinations import combinations_table
from m2bench.report.tables.impact import impact_table
from m2bench.report.tables.metrics import metrics_table
from m2bench.report.tables.starting import starting_table
from m2bench.report.write_report import write_report
from m2bench.store.results_database import Store
from m2bench.summary.ablation_summary import Summary
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

NAMES = tuple(TRAINERS)
BEST = ("amp", "compile")
NOISE = 0.03  # of what a run estimates, several times the standard error


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("users")
    for name, trainer in TRAINERS.items():
        make_users_run(root / name, trainer).__exit__()
    return {name: root / name for name in TRAINERS}


@pytest.fixture(scope="module")
def summaries(folders: dict[str, Path]) -> dict[str, Summary]:
    return {name: read_run(folder).summary for name, folder in folders.items()}


def column(table: Table, name: str) -> dict[str, str]:
    """The cells of a column by the layers of their row."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {row["layers"]: row[name] for row in rows}


def number(cell: str) -> float:
    return float(re.findall(r"^[-\d.,]+", cell)[0].replace(",", ""))


@pytest.mark.parametrize("name", NAMES)
def test_every_combination_shows_its_planted_level_and_ratio(summaries: dict[str, Summary], name: str) -> None:
    trainer, table = TRAINERS[name], combinations_table(summaries[name])
    speed = Speed.of(summaries[name].system)
    levels, ratios = column(table, speed.heading), column(table, speed.words.ratio)
    for c in summaries[name].combinations:
        level, shown = trainer.level(c.layers), combination_name(c.layers)
        assert number(levels[shown]) == pytest.approx(level, rel=NOISE)
        better = trainer.baseline / level if trainer.lower_is_better else level / trainer.baseline
        assert number(ratios[shown]) == pytest.approx(better, rel=NOISE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("function", r"Switch on amp \+ compile: 2\.\d+x as fast as the baseline \[[\d., ]+\]"),
        ("time", r"Switch on amp \+ compile: 2\.\d+x as fast as the baseline \[[\d., ]+\]"),
        ("sps", r"Switch on amp \+ compile: 2\.\d+x the SPS of the baseline \[[\d., ]+\]"),
        ("loss", r"Switch on amp \+ compile: 2\.\d+x lower loss than the baseline \[[\d., ]+\]"),
    ],
)
def test_the_headline_says_what_is_better_and_in_what(summaries: dict[str, Summary], name: str, said: str) -> None:
    assert re.match(said, headline(summaries[name])[0])
    assert all(len(line) <= 100 for line in headline(summaries[name]))


def test_a_metric_is_not_called_a_speed(summaries: dict[str, Summary]) -> None:
    """Loss that is halved is not faster; what costs raises it."""
    for name, trainer in (("sps", SPS), ("loss", LOSS)):
        summary = summaries[name]
        charts = [chart for chart in draw_charts(summary) if not isinstance(chart, NotDrawn)]
        titles = [part.title for section in sections(summary) for part in section.parts if isinstance(part, Table)]
        said = [*headline(summary), *details(summary), *recommendation(summary), *titles]
        said += [text for chart in charts for text in (chart.title, chart.reading)]
        wrong = [line for line in said if re.search(r"\b(speed|speedup|fast|faster|fastest|slower|slowest)\b", line)]
        assert not wrong
        assert trainer.label in "".join(said)
    assert re.search(r"fused raises loss by 2\d(\.\d+)?%", " ".join(details(summaries["loss"])))  # 1/0.8
    assert re.search(r"fused costs (19|20|21)(\.\d+)?% .* of the SPS", " ".join(details(summaries["sps"])))


@pytest.mark.parametrize("name", ["function", "time"])  # the words of the others are looked at above
def test_the_report_speaks_neither_of_episodes_nor_of_minutes(folders: dict[str, Path], name: str) -> None:
    with Store.open(folders[name]) as store:
        write_report(store)
    for file in ("report.md", "report.html"):
        text = (folders[name] / file).read_text().replace("episodes_per_min", "")
        for word in ("episode", "/min", "per minute", "environments", "policy", "held-out", "market", "m2bench train"):
            assert word not in text, (file, word)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_told_is_left_out_of_tables_and_said_once(summaries: dict[str, Summary], name: str) -> None:
    summary = summaries[name]
    combinations, impact = combinations_table(summary), impact_table(summary)
    speed = Speed.of(summary.system)
    assert combinations.columns == ("#", "layers", speed.words.ratio, speed.heading, "memory MB", "status")
    assert impact.columns == (
        "layer", "alone", "added last", "Shapley", "share", "memory", "learning", "numerics", "at work",
    )  # fmt: skip
    assert [row[-3:] for row in impact.rows[:-1]] == [("not told", "unchecked", "unproved")] * 3
    told = " ".join(impact.notes)
    assert "numerics: unchecked" in told
    assert "learning: not told, since the system does not tell how well it has learned." in told
    because = "m2bench cannot see inside a command" if TRAINERS[name].is_command else "no update was looked at"
    assert f"at work: unproved (amp, compile, fused), since {because}." in told
    assert "time to target" not in told
    assert not [line for line in remarks(summary) if re.search("numerics|learning|phase|operators|peak is", line, re.I)]
    assert [section.name for section in sections(summary)] == ["pays", "time", "combinations", "sure", "machine"]


def test_of_a_layer_that_only_failed_it_is_not_said_whether_it_was_at_work(summaries: dict[str, Summary]) -> None:
    summary = summaries["sps"]
    failing = tuple(replace(c, status="failed", trials_ok=0) if "amp" in c.layers else c for c in summary.combinations)
    table = impact_table(replace(summary, combinations=failing))
    at_work = {row[0]: row[table.columns.index("at work")] for row in table.rows[:-1]}
    assert at_work == {"amp": "-", "compile": "unproved", "fused": "unproved"}
    assert any(note.startswith("at work: unproved (compile, fused), since ") for note in table.notes)


def test_what_a_run_costs_beside_its_level_is_shown_as_far_as_it_is_told(summaries: dict[str, Summary]) -> None:
    tables = {name: before_and_after_table(summaries[name]) for name in NAMES}
    rows = {name: table and [row[0] for row in table.rows] for name, table in tables.items()}
    assert rows == {
        "function": ["ms per sample", "samples/s", "memory MB"],
        "sps": ["SPS", "memory MB"],
        "time": ["time s", "memory MB"],
        "loss": ["loss", "memory MB"],
    }


def test_how_the_set_is_switched_on_is_said_in_the_users_own_terms(summaries: dict[str, Summary]) -> None:
    calls = {name: training_call(summary) for name, summary in summaries.items()}
    assert calls["function"] is not None
    assert calls["sps"] is not None
    assert (calls["function"].text, calls["function"].language) == ("train(amp=True, compile=True)", "python")
    assert calls["sps"].text == "TORCH_COMPILE=1 python train.py --workers 0 --amp"
    assert calls["sps"].language == "sh"


def test_every_metric_is_shown_with_what_it_is_over_the_baselines(summaries: dict[str, Summary]) -> None:
    assert metrics_table(summaries["function"]) is None
    for name, trainer in (("sps", SPS), ("time", TIME), ("loss", LOSS)):
        table = metrics_table(summaries[name])
        assert table is not None
        for c in summaries[name].combinations:
            shown, level = combination_name(c.layers), trainer.level(c.layers)
            assert number(column(table, trainer.label)[shown]) == pytest.approx(level, rel=NOISE)
            assert number(column(table, "tokens")[shown]) == pytest.approx(10 * level, rel=NOISE)
            ratio = level / trainer.baseline
            assert number(column(table, "tokens: ratio")[shown]) == pytest.approx(ratio, rel=NOISE)


@pytest.mark.parametrize("name", NAMES)
def test_trials_and_frames_have_levels_in_the_same_unit(folders: dict[str, Path], name: str) -> None:
    trainer: Trainer = TRAINERS[name]
    run: Run = read_run(folders[name])
    frame = run.combinations.set_index("layers")
    assert frame.level["amp"] == pytest.approx(trainer.level(("amp",)), rel=NOISE)
    assert frame.level_low["amp"] < frame.level["amp"] < frame.level_high["amp"]
    assert run.trials[run.trials.amp].level.median() < math.inf
    with Store.open(folders[name]) as store:
        (trials,) = trace(store.record(), store.trials(), "amp+compile")
    heading = Speed.of(run.summary.system).heading
    others = ("tokens",) if trainer.is_command else ()
    assert trials.columns == ("trial", "mini-blocks", "started", "status", heading, *others)
    for row in trials.rows:
        levels = [number(cell) for cell in row[4:]]
        assert levels == pytest.approx([factor * trainer.level(BEST) for factor in (1, 10)[: len(levels)]], rel=0.06)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("sps", "learning", "how well it has learned. Let it print its loss, and give that as one more --metric"),
        ("function", "learning", "how well it has learned. Ask for a layer: --trace amp."),
        ("sps", "tokens", "'tokens' is a metric, and what is traced is .* --trace baseline."),
        ("sps", "nothing", "'nothing' is neither a layer"),
    ],
)
def test_what_cannot_be_traced_says_what_to_ask_for_instead(
    folders: dict[str, Path], name: str, asked: str, message: str
) -> None:
    with Store.open(folders[name]) as store, pytest.raises(UserError, match=message):
        trace(store.record(), store.trials(), asked)


def test_a_metric_has_no_milliseconds(summaries: dict[str, Summary]) -> None:
    by_name = {name: summary.combinations[0].ms_per_episode for name, summary in summaries.items()}
    assert by_name["sps"] is None
    assert by_name["loss"] is None
    assert by_name["time"] is not None
    assert by_name["time"].value == pytest.approx(1000 * TIME.baseline, rel=NOISE)
    assert by_name["function"] is not None
    assert by_name["function"].value == pytest.approx(1000 / FUNCTION.baseline, rel=NOISE)


def test_until_when_a_set_up_lasts_is_said_where_the_first_update_sets_up(summaries: dict[str, Summary]) -> None:
    """Also earlier versions ran functions, and did not count that update."""
    earlier = summaries["function"]
    now = replace(earlier, system=replace(earlier.system, first_update_sets_up=True))
    notes = [" ".join(table.notes) for each in (earlier, now) if (table := starting_table(each))]
    assert ["until the first update is done" in each for each in notes] == [False, True]

"""The report of a run of ``ablate --factors``: what its sentences, tables, charts and page say."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from simulated_ways import TRUTHS, simulated, spec_of

from m2bench.report.charts.style import Chart, NotDrawn
from m2bench.report.factors_report import draw_factors_charts, factors_content
from m2bench.report.markdown import markdown
from m2bench.report.page import page
from m2bench.summary.factors_summary import FactorsSummary

LAYER = "a layer of 1/10 of the pace that needs 4 times the episodes, and 25 times with ppo"


@pytest.fixture(scope="module")
def crossed() -> FactorsSummary:
    return simulated(spec_of(crossed=("batching",)), TRUTHS[LAYER], seed=0)


@pytest.fixture(scope="module")
def charts(crossed: FactorsSummary) -> list[Chart | NotDrawn]:
    return draw_factors_charts(crossed)


def test_the_charts_are_drawn_and_say_what_is_seen(charts: list[Chart | NotDrawn]) -> None:
    ways, worth = charts
    assert isinstance(ways, Chart)
    assert isinstance(worth, Chart)
    assert ways.title.startswith("Soonest by seconds: ")
    assert worth.title.startswith("batching pays for speed; ")
    for chart in (ways, worth):
        assert ElementTree.fromstring(chart.svg).get("role") == "img"


def test_charts_tables_and_every_sentence_are_in_markdown_and_page(
    crossed: FactorsSummary, charts: list[Chart | NotDrawn]
) -> None:
    content = factors_content(crossed, charts)
    as_markdown, as_page = markdown(content), page(content)
    for name in ("ways", "worth"):
        assert f"(charts/{name}.svg)" in as_markdown
        assert f'id="{name}-' in as_page
    assert [section.name for section in content.sections] == ["ways", "effects", "layers", "sure"]
    assert all(line.partition("[")[0][:40] in as_markdown for line in filter(None, content.headline))
    assert len(content.headline) == 2, "a page shows two"


def test_the_soonest_is_told_by_seconds_and_by_episodes(crossed: FactorsSummary) -> None:
    """The layer makes seconds fewer and episodes more, so that these are two ways."""
    first = factors_content(crossed).headline[0]
    assert "Learns soonest by seconds: " in first
    assert "; by episodes: " in first
    assert "batching" in first.partition("; by episodes: ")[0]
    assert "batching" not in first.partition("; by episodes: ")[2]
    assert "by seconds and by episodes: " in factors_content(
        replace(crossed, soonest_by_episodes=crossed.soonest_by_seconds)
    ).headline[0]  # fmt: skip


def test_ways_stand_in_the_order_of_their_seconds(crossed: FactorsSummary) -> None:
    table = factors_content(crossed).sections[0].parts[0]
    rows = table.rows  # type: ignore[union-attr]
    seconds = [float(row[1].split(" [")[0]) for row in rows]
    assert seconds == sorted(seconds)
    assert [row[5] for row in rows].count("soonest") == 1
    assert "later" in [row[5] for row in rows]


def test_without_crossed_layers_nothing_is_said_of_them() -> None:
    found = simulated(spec_of(), TRUTHS["nothing differs"], seed=0)
    content = factors_content(found)
    assert [section.name for section in content.sections] == ["ways", "effects", "sure"]
    assert len(content.details) == 3
    assert len(draw_factors_charts(found)) == 1


def test_a_device_that_computes_wrongly_marks_headline_and_charts(crossed: FactorsSummary) -> None:
    wrong = replace(crossed, device_faults=("gradient: macro is off",))
    mark = "(on a device that computes wrongly)"
    assert mark in factors_content(wrong).headline[0]
    assert all(isinstance(chart, Chart) and mark in chart.title for chart in draw_factors_charts(wrong))

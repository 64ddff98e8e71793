"""The report as Markdown, as code forges show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from m2bench.tables import Table

from .charts import Chart, NotDrawn
from .sentences import GLOSSARY, claims, headlines, recommendation, remarks
from .tables import (
    before_and_after_table,
    combinations_table,
    facts_table,
    groups_table,
    impact_remarks,
    impact_table,
    learning_table,
    phases_table,
    responses_table,
    starting_table,
    sweep_table,
)

Document = dict[str, Any]


def markdown(summary: Document, charts: Sequence[Chart | NotDrawn]) -> str:
    """All of the report; its charts are the files beside it."""
    drawn = {chart.name: chart for chart in charts}
    first, *more = headlines(summary)
    lines = [f"# m2bench: {plain(summary['run'])}", "", f"**{plain(first)}**", ""]
    for line in (*more, *recommendation(summary)):
        lines += [plain(line), ""]
    lines += _section(impact_table(summary))
    lines += [plain(GLOSSARY), "", *_listed(impact_remarks(summary))]
    lines += [*_picture(drawn["contributions"]), *_picture(drawn["claims"])]
    lines += ["## The claims, one by one", "", *_listed(claims(summary))]
    lines += _section(learning_table(summary))
    lines += [
        *_picture(drawn["learning"]),
        *_section(groups_table(summary)),
        *_picture(drawn["throughput-and-learning"]),
    ]
    lines += _section(before_and_after_table(summary))
    lines += [*_section(phases_table(summary)), *_picture(drawn["phases"]), *_section(responses_table(summary))]
    lines += [*_section(starting_table(summary)), *_section(combinations_table(summary))]
    lines += [*_picture(drawn["combinations"]), *_picture(drawn["interactions"])]
    if summary["sweep"] is not None:
        lines += [*_section(sweep_table(summary)), *_picture(drawn["environments"])]
    lines += ["## Noise and limits of this run", "", *_picture(drawn["noise"]), *_listed(remarks(summary))]
    lines += _section(facts_table(summary))
    return "\n".join(lines)


def _section(table: Table | None) -> list[str]:
    if table is None:
        return []
    rule = ["---:" if column in table.numeric else "---" for column in table.columns]
    rows = [table.columns, rule, *table.rows]
    drawn = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    return [f"## {plain(table.title)}", "", *drawn, ""]


def _picture(chart: Chart | NotDrawn) -> list[str]:
    if isinstance(chart, NotDrawn):
        return [f"(No chart of {chart.name}: {plain(chart.reason)}.)", ""]
    return [f"![{plain(chart.title)}](charts/{chart.name}.svg)", "", f"*{plain(chart.reading)}*", ""]


def _listed(sentences: list[str]) -> list[str]:
    return [f"- {plain(sentence)}" for sentence in sentences] + [""] if sentences else []


def plain(text: str) -> str:
    """Text that Markdown shows as it is, within one table cell."""
    for mark in "\\`*_<>[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())

"""The report as Markdown, as code forges show it."""

from __future__ import annotations

from m2bench.text.tables import Table

from .charts.style import NotDrawn
from .content import Content, SectionPart, Sentences


def markdown(content: Content) -> str:
    """All of the report; its charts are the files beside it."""
    lines = [f"# m2bench: {plain(content.run)}", ""]
    for line in filter(None, content.headline):
        lines += [f"**{plain(line)}**", ""]
    for warning in content.warnings:
        lines += [f"> {plain(warning)}", ""]
    for line in (*content.details, *content.advice):
        lines += [plain(line), ""]
    if content.call is not None:
        lines += [f"```{content.call.language}", content.call.text, "```", ""]
    for section in content.sections:
        lines += [f"## {plain(section.title)}", ""]
        for part in section.parts:
            lines += _part(part)
    return "\n".join(lines)


def _part(part: SectionPart) -> list[str]:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Sentences):
        title = [f"### {plain(part.title)}", ""] if part.title else []
        return [*title, *(f"- {plain(sentence)}" for sentence in part.sentences), ""]
    if isinstance(part, NotDrawn):
        return [f"(No chart of {part.name}: {plain(part.reason)}.)", ""]
    return [f"![{plain(part.title)}](charts/{part.name}.svg)", "", f"*{plain(part.reading)}*", ""]


def _table(table: Table) -> list[str]:
    rule = ["---:" if column in table.numeric else "---" for column in table.columns]
    rows = [[plain(cell) for cell in row] for row in (table.columns, *table.rows)]
    drawn = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    notes = [line for note in table.notes for line in (plain(note), "")]
    return [f"### {plain(table.title)}", "", *drawn, "", *notes]


def plain(text: str) -> str:
    """Text that Markdown shows as it is, within one table cell."""
    for mark in "\\`*_<>[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())

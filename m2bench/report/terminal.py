"""The report in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from m2bench.tables import draw_table

from .sentences import headlines, recommendation, remarks
from .tables import impact_remarks, report_tables


def show_report(summary: dict[str, Any], folder: Path, console: Console) -> None:
    """Print the tables, the most important last, and where the report lies."""
    for table in reversed(report_tables(summary)):
        draw_table(table, console)
        console.print()
    for remark in impact_remarks(summary):
        console.print(remark, markup=False, highlight=False)
    for number, line in enumerate((*headlines(summary), *recommendation(summary))):
        console.print(line, style=None if number else "bold", markup=False, highlight=False)
    for note in remarks(summary):
        console.print(f"- {note}", markup=False, highlight=False)
    console.print(f"Report: {escape(str(folder / 'report.html'))}", highlight=False, soft_wrap=True)

"""The report in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from m2bench.text.tables import Table, draw_table

from .sections import Sentences, sections
from .sentences import headlines, recommendation, train_command, warnings


def show_report(summary: dict[str, Any], folder: Path, console: Console) -> None:
    """Print the report, the most important last: above the prompt stand the main result, the command, the page."""

    def say(line: str, style: str | None = None) -> None:
        console.print(line, style=style, markup=False, highlight=False)

    for part in [part for section in sections(summary) for part in section.parts][::-1]:
        if isinstance(part, Table):
            draw_table(part, console)
        elif isinstance(part, Sentences):
            say(part.title or "What to know of these figures", "bold")
            for sentence in part.sentences:
                say(f"- {sentence}")
        console.print()
    first, *more = headlines(summary)
    for line in (*more, *recommendation(summary, folder)):
        say(line)
    say(first, "bold")
    for warning in warnings(summary):
        say(warning)
    command = train_command(summary)
    # Lines to copy: broken by nothing.
    for line in ([f"Train it: {command}"] if command else []) + [f"Report: {folder / 'report.html'}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

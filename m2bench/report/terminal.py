"""The report in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from m2bench.records.summary import Summary
from m2bench.text.tables import Table, draw_table

from .details import details
from .headline import headline
from .recommendation import recommendation, training_call
from .sections import Sentences, sections
from .sentences import warnings


def show_report(summary: Summary, folder: Path, console: Console) -> None:
    """Print the report, the most important last: above the prompt stand the main result, the command, the page."""

    def say(line: str, style: str | None = None) -> None:
        console.print(line, style=style, markup=False, highlight=False)

    for part in [part for section in sections(summary) for part in section.parts][::-1]:
        if isinstance(part, Table):
            draw_table(part, console)
        elif isinstance(part, Sentences):
            say(part.title or "How these figures were measured", "bold")
            for sentence in part.sentences:
                say(f"- {sentence}")
        console.print()
    for line in (*details(summary), *recommendation(summary, folder)):
        say(line)
    for line in filter(None, headline(summary, folder)):
        say(line, "bold")
    for warning in warnings(summary):
        say(warning)
    call = training_call(summary)
    # Lines to copy: broken by nothing.
    for line in ([f"Train it: {call.text}"] if call else []) + [f"Report: {folder / 'report.html'}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

"""The report in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from m2bench.text.tables import Table, draw_table

from .content import Content, Sentences


def show_content(content: Content, folder: Path, console: Console) -> None:
    """Print a report without its charts, the most important last: above the prompt stand the main result, the command,
    the page.
    """

    def say(line: str, style: str | None = None) -> None:
        console.print(line, style=style)

    for part in [part for section in content.sections for part in section.parts][::-1]:
        if isinstance(part, Table):
            draw_table(part, console)
        elif isinstance(part, Sentences):
            say(part.title or "How these figures were measured", "bold")
            for sentence in part.sentences:
                say(f"- {sentence}")
        else:
            continue  # charts
        console.print()
    for line in (*content.details, *content.advice):
        say(line)
    for line in filter(None, content.headline):
        say(line, "bold")
    for warning in content.warnings:
        say(warning)
    # Lines to copy: broken by nothing.
    for line in ([f"Train it: {content.call.text}"] if content.call else []) + [f"Report: {folder / 'report.html'}"]:
        console.print(line, soft_wrap=True)

"""What a report says, whoever shows it: in Markdown, as a page, in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from m2bench.options.known_systems import Call
from m2bench.text.tables import Table

from .charts.style import Chart, NotDrawn


@dataclass(frozen=True)
class Sentences:
    """A list of sentences under a title of its own, or under the section's."""

    sentences: list[str]
    title: str | None = None


SectionPart = Table | Chart | NotDrawn | Sentences


@dataclass(frozen=True)
class Section:
    """One question of the reader and its answers. ``name`` is its anchor."""

    name: str
    title: str
    parts: tuple[SectionPart, ...]


def sections_of(given: Iterable[tuple[str, str, Sequence[SectionPart | None]]]) -> list[Section]:
    """From names, titles and parts; without parts that are None, and without sections that have no other."""
    told = [(name, title, tuple(part for part in parts if part is not None)) for name, title, parts in given]
    return [Section(name, title, parts) for name, title, parts in told if parts]


@dataclass(frozen=True)
class Content:
    """``headline``: the main result. ``details``: the lines below it. ``advice``: what to do, and ``call``, how.

    ``figures``: the few that a reader looks for first, each as what it is, its value, how sure it is.
    """

    run: str
    headline: tuple[str, ...]
    sections: Sequence[Section]
    warnings: Sequence[str] = ()
    details: Sequence[str] = ()
    advice: Sequence[str] = ()
    call: Call | None = None
    figures: Sequence[tuple[str, str, str]] = ()

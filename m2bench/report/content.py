"""What a report says, whoever shows it: in Markdown, as a page, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from m2bench.options.known_systems import Call

from .sections import Section


@dataclass(frozen=True)
class Content:
    """``headline``: the main result. ``details``: the lines below it. ``advice``: what to do, and ``call``, how.

    ``figures``: the few that a reader looks for first, each as what it is, its value, how sure it is.
    """

    run: str
    headline: tuple[str, ...]
    warnings: Sequence[str]
    details: Sequence[str]
    advice: Sequence[str]
    call: Call | None
    figures: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]

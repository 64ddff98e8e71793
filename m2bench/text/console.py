"""The console that every text is printed to."""

from __future__ import annotations

from typing import Any

from rich.console import Console


def plain_console(**how: Any) -> Console:
    """A console that shows text as it is: brackets are no markup, and numbers are not coloured."""
    return Console(markup=False, highlight=False, **how)

"""Charts that are laid out and not drawn, which would take most of a report's time: only their pictures are empty."""

from __future__ import annotations

import pytest

from m2bench.report.charts import Chart
from m2bench.report.charts.style import Canvas


def leave_pictures_empty(patch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let no chart be drawn from now on; the titles of those that would have been, by name."""
    titles: dict[str, str] = {}

    def finish(_: Canvas, name: str, title: str, reading: str) -> Chart:
        titles[name] = title
        return Chart(name, title, reading, svg="", png=b"", title_height=0.0)

    patch.setattr(Canvas, "finish", finish)
    return titles

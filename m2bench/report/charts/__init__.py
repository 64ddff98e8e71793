"""The charts of a report, one file each: a function from the summary to a chart, or to why there is none."""

from __future__ import annotations

from . import claims, interactions, learning, noise, pareto, phases, ranking, sweep, waterfall
from .style import Chart as Chart
from .style import Document
from .style import NotDrawn as NotDrawn

# In the order in which a reader asks: what pays, is it as claimed, does it learn, why, and how sure is all that.
DRAWN = (waterfall, claims, ranking, interactions, learning, pareto, phases, sweep, noise)


def draw_charts(summary: Document) -> list[Chart | NotDrawn]:
    """All charts of a summary."""
    return [chart.draw(summary) for chart in DRAWN]

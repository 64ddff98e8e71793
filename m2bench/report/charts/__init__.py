"""The charts of a report, one file each: a function from the summary to a chart, or to why there is none."""

from __future__ import annotations

from . import claims, interactions, learning, noise, pareto, phases, ranking, waterfall
from .style import Chart, Document, NotDrawn

# In the order in which a reader asks: what pays, is it as claimed, does it learn, why, and how sure is all that.
DRAWN = (waterfall, claims, ranking, interactions, learning, pareto, phases, noise)


def draw_charts(summary: Document) -> list[Chart | NotDrawn]:
    """All charts of a summary."""
    return [chart.draw(summary) for chart in DRAWN]

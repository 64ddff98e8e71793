"""The charts of a report, one file each: a function from the summary to a chart, or to why there is none."""

from __future__ import annotations

from typing import Any

from m2bench.records.wrong_device import mark_of
from m2bench.text.figures import is_known

from . import claims, interactions, learning, noise, pareto, phases, ranking, sweep, waterfall
from .style import Chart as Chart
from .style import Document, titles_marked
from .style import NotDrawn as NotDrawn

# In the order in which a reader asks: what pays, is it as claimed, does it learn, why, and how sure is all that.
DRAWN = (waterfall, claims, ranking, interactions, learning, pareto, phases, sweep, noise)


def draw_charts(summary: Document) -> list[Chart | NotDrawn]:
    """All charts of a summary; figures whose interval says nothing are left out, as if they had not been measured."""
    drawn = {name: _known(summary[name]) for name in FIGURES}
    if not is_known(summary["total_speedup_ci"]):
        drawn["total_speedup"] = None
    with titles_marked(mark_of(summary)):
        return [chart.draw({**summary, **drawn}) for chart in DRAWN]


FIGURES = ("combinations", "layers", "interactions", "learning", "sweep")


def _known(part: Any) -> Any:
    """A part of the summary with None in place of every figure that is not known, and of its interval."""
    if isinstance(part, list):
        return [_known(entry) for entry in part if not isinstance(entry, dict) or is_known(entry.get("ci"))]
    if not isinstance(part, dict):
        return part
    unknown = {
        name for name, value in part.items() if isinstance(value, float) and not is_known(part.get(f"{name}_ci"))
    }
    return {name: None if name.removesuffix("_ci") in unknown else _known(value) for name, value in part.items()}

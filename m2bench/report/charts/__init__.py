"""The charts of a report, one file each: a function from the summary to a chart, or to why there is none."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from m2bench.records.figure import Figure
from m2bench.records.refusals import mark_of
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import is_known

from . import (
    claims,
    combinations,
    contributions,
    interactions,
    learning,
    noise,
    phases,
    roofline,
    throughput_and_learning,
)
from .style import Chart as Chart
from .style import NotDrawn as NotDrawn
from .style import titles_marked

# In the order in which a reader asks: what pays, is it as claimed, does it learn, why, and how sure is all that.
DRAWN = (
    contributions,
    claims,
    combinations,
    interactions,
    learning,
    throughput_and_learning,
    roofline,
    phases,
    noise,
)


def draw_charts(summary: Summary) -> list[Chart | NotDrawn]:
    """All charts of a summary; figures whose interval says nothing are left out, as if they had not been measured."""
    known = replace(
        summary,
        combinations=_known(summary.combinations),
        layers=_known(summary.layers),
        interactions=summary.interactions and tuple(x for x in summary.interactions if is_known(x.effect)),
        learning=_known(summary.learning),
        total_speedup=_known(summary.total_speedup),
    )
    with titles_marked(mark_of(summary.device_faults)):
        return [chart.draw(known) for chart in DRAWN]


def _known(part: Any) -> Any:
    """A part of the summary with None in place of every figure that is not known."""
    if isinstance(part, Figure):
        return part if is_known(part) else None
    if isinstance(part, tuple):
        return tuple(map(_known, part))
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{field.name: _known(getattr(part, field.name)) for field in fields(part)})
    return part

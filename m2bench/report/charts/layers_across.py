"""What each layer is worth on each of several machines."""

from __future__ import annotations

import math
from typing import Any

from m2bench.records.figure import Figure
from m2bench.report.machines_report import difference_title, differs, layer_name
from m2bench.summary.machines_summary import SideBySide
from m2bench.text.figures import is_known

from .style import (
    GRID,
    LINE_STYLES,
    MARKERS,
    SERIES,
    Chart,
    NotDrawn,
    beside,
    drawing,
    interval,
    ratio_axis,
    reach,
    rows,
    span,
)

NAME = "layers-across"
APART = 0.8  # of a row: what the machines of a layer take of it
FEW = 4  # machines whose points have room to be large
LEGEND_COLUMNS = 3


def draw_layers_across(found: SideBySide) -> Chart | NotDrawn:
    """A row per layer, in it a point with its interval for every machine."""
    layers = [row for row in found.layers if any(map(_shown, row.figures))]
    if not layers:
        return NotDrawn(NAME, "no run tells what a layer is worth")
    machines = len(found.runs)
    height = 0.25 + (0.16 if machines <= FEW else 0.1) * machines  # of a row, in inches
    with drawing(1.6 + len(layers) * height + 0.25 * math.ceil(machines / LEGEND_COLUMNS)) as canvas:
        (axis,) = canvas.axes
        rows(axis, [layer_name(row) for row in layers])
        for place, row in enumerate(layers):
            if place % 2 == 0:
                axis.axhspan(place - 0.5, place + 0.5, color=GRID, alpha=0.3, linewidth=0, zorder=0)
            if differs(row):
                beside(axis, place, "differs")
        seen: list[float] = []
        for number, run in enumerate(found.runs):
            marker = MARKERS[(number + number // len(SERIES)) % len(MARKERS)]  # none like one before with its colour
            look: dict[str, Any] = {"marker": marker, "markersize": 6.0 if machines <= FEW else 4.5}
            colour = SERIES[number % len(SERIES)]
            for place, row in enumerate(layers):
                figure = row.figures[number]
                if _shown(figure):
                    assert figure is not None
                    interval(axis, place + APART * ((number + 0.5) / machines - 0.5), figure, colour, **look)
                    seen += reach([figure])
            axis.plot([], [], color=colour, linestyle=LINE_STYLES[0], label=run, **look)
        ratio_axis(axis, *span(seen))
        axis.set_xlabel("layer on over off (log scale)")
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=LEGEND_COLUMNS, borderaxespad=0.2, fontsize=9)
        reading = (
            "Points: a layer on each machine with its 95 % interval, from top to bottom as the machines are named."
        )
        return canvas.finish(NAME, difference_title(found), reading)


def _shown(figure: Figure | None) -> bool:
    return figure is not None and is_known(figure)

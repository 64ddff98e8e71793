"""What each layer is worth on each of several machines."""

from __future__ import annotations

from m2bench.records.figure import Figure
from m2bench.report.machines_report import differing_layers, layer_name
from m2bench.summary.machines_summary import SideBySide
from m2bench.text.figures import is_known

from .style import LINE_STYLES, MARKERS, SERIES, Chart, NotDrawn, drawing, interval, ratio_axis, reach, rows, span

NAME = "layers-across"
APART = 0.62  # of a row: what the machines of a layer take of it


def draw_layers_across(found: SideBySide) -> Chart | NotDrawn:
    """A row per layer, in it a point with its interval for every machine."""
    layers = [row for row in found.layers if any(map(_shown, row.figures))]
    if not layers:
        return NotDrawn(NAME, "no run tells what a layer is worth")
    machines = len(found.runs)
    with drawing(1.6 + len(layers) * (0.3 + 0.16 * machines) + 0.2 * machines) as canvas:
        (axis,) = canvas.axes
        rows(axis, [layer_name(row) for row in layers])
        seen: list[float] = []
        for number, run in enumerate(found.runs):
            marker = MARKERS[(number + number // len(SERIES)) % len(MARKERS)]  # none like one before with its colour
            colour = SERIES[number % len(SERIES)]
            for place, row in enumerate(layers):
                figure = row.figures[number]
                if _shown(figure):
                    assert figure is not None
                    interval(axis, place + APART * ((number + 0.5) / machines - 0.5), figure, colour, marker=marker)
                    seen += reach([figure])
            axis.plot([], [], color=colour, linestyle=LINE_STYLES[0], label=run, marker=marker)
        ratio_axis(axis, *span(seen))
        axis.set_xlabel("layer on over off (log scale)")
        axis.legend(loc="upper left", bbox_to_anchor=(0, -0.35 / canvas.figure.get_figheight() * 3), ncols=2)
        return canvas.finish(NAME, _title(found), "Points: a layer on each machine with its 95 % interval.")


def _shown(figure: Figure | None) -> bool:
    return figure is not None and is_known(figure)


def _title(found: SideBySide) -> str:
    differing = differing_layers(found)
    if not differing:
        return "No layer is shown to be worth more on one machine than on another"
    return f"{', '.join(differing)}: worth more on one machine than on another"

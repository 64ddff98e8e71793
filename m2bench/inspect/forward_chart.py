"""The picture of forward passes: ms by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from m2bench.records.inspected import PassTime, Written
from m2bench.statistics.crossings import Comparison, SpreadBySize
from m2bench.store.files import try_to_write

from .pass_times import PLAIN, by_variant, line_label, timed_cells

WIDTH, HEIGHT, DPI = 9.0, 5.5, 110


def draw_passes(path: Path, found: Mapping[str, Sequence[PassTime]], comparisons: list[Comparison]) -> Written:
    """A chart of ms per pass by batch size, one line per device and variant."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(WIDTH, HEIGHT), constrained_layout=True)
    for device, timed in found.items():
        for name, cells in by_variant(timed).items():
            plot_line(axis, line_label(device, name), timed_cells(cells))
    mark_crossings(axis, comparisons)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("batch size")
    axis.set_ylabel("ms per forward pass (bars: least to most of the groups)")
    axis.set_title("Forward passes of the policy: flat where dispatching operators takes the time")
    axis.grid(visible=True, which="major", alpha=0.3)
    axis.legend()
    drawn = try_to_write(path, lambda: figure.savefig(path, dpi=DPI))
    pyplot.close(figure)
    return drawn


def plot_line(axis: Any, label: str, cells: SpreadBySize) -> None:
    """The median of each batch size, with a bar from the least to the most; nothing where nothing was timed."""
    if cells:
        below = [cell.ms - cell.ms_least for cell in cells.values()]
        above = [cell.ms_most - cell.ms for cell in cells.values()]
        medians = [cell.ms for cell in cells.values()]
        axis.errorbar(list(cells), medians, (below, above), marker="o", capsize=3, label=label)


def mark_crossings(axis: Any, comparisons: Sequence[Comparison]) -> None:
    """A diamond where two lines cross, with a bar from one batch size at which the lead is decided to the next."""
    label = f"the lead over {PLAIN} changes between these batch sizes"
    for comparison in comparisons:
        for low, high in comparison.crossings:
            size, ms = comparison.point(low, high)
            axis.errorbar(size, ms, xerr=([size - low], [high - size]), label=label, fmt="D", color="black",
                          markerfacecolor="none", markersize=9, capsize=5, zorder=3)  # fmt: skip
            label = ""  # one entry in the legend is enough

"""How near the matrix products come to what the machine can do, and which limit they meet first."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes

from m2bench.records.figure import Figure
from m2bench.records.matmul_peaks import MatmulPeak, peak_of
from m2bench.report.sentences import compared, name_of_peak
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.text.figures import digits

from .style import COMPARED, INK, MUTED, Chart, NotDrawn, drawing, plain_log_ticks, with_layers

NAME = "roofline"
GIGA = 1e9
MARGIN = 3.0  # beyond the outermost points
LABEL_ROOM = 12.0  # the same to the right, where the level lines have their labels
NEAR = 1.3  # peaks that are less than this apart have no room for two labels
FALLS_SHORT = 0.9  # of a peak: what memory leaves of it is told from there on


@dataclass(frozen=True)
class PlacedUsage:
    """A combination that has its rate and its operations per byte."""

    role: str
    row: CombinationRow
    rate: Figure
    flops_per_byte: float
    peak_flops: float

    @property
    def share(self) -> float:
        return self.rate.value / self.peak_flops


def draw(summary: Summary) -> Chart | NotDrawn:
    """The baseline, the recommended and the fastest set below the lines that memory and arithmetic draw."""
    rows = compared(summary)
    placed = [
        PlacedUsage(role, row, rate, row.usage.flops_per_byte, row.usage.peak_flops)
        for role, row in rows.items()
        if (rate := row.usage.flops_per_s) and row.usage.flops_per_byte and row.usage.peak_flops
    ]
    if not placed or placed[0].role not in [*rows][:1] or not summary.bytes_per_s or not summary.peaks:
        return NotDrawn(NAME, "the matrix products of the baseline and their bytes are not counted")
    used = {peak_of(summary.peaks, p.row.usage.is_half, p.row.usage.cores or 1) for p in placed}
    peaks = [peak for peak in summary.peaks if peak in used]
    with drawing(5.0 + 0.2 * len(placed)) as canvas:
        (axis,) = canvas.axes
        axis.set_xscale("log")
        axis.set_yscale("log")
        ridges = [peak.flops / summary.bytes_per_s for peak in peaks]
        low, high = (pick((*ridges, *(p.flops_per_byte for p in placed))) for pick in (min, max))
        axis.set_xlim(low / MARGIN, high * LABEL_ROOM)
        bottom = min(min(p.rate.value for p in placed), summary.bytes_per_s * low)
        axis.set_ylim(bottom / MARGIN / GIGA, max(peak.flops for peak in peaks) * MARGIN / GIGA)
        _draw_limits(axis, peaks, summary)
        looks = dict(zip(rows, COMPARED, strict=False))
        for point in placed:
            look = looks[point.role]
            x, y = point.flops_per_byte, point.rate.value / GIGA
            limit = min(point.peak_flops, summary.bytes_per_s * x) / GIGA
            axis.plot([x, x], sorted((y, limit)), color=look["color"], linewidth=1.0, linestyle=":", zorder=1)
            ends = [end / GIGA for end in point.rate.interval or ()]
            axis.plot([x] * len(ends), ends, color=look["color"], linewidth=2.0)
            label = f"{point.role}, {digits(y)} GFLOP/s, {_percent(point.share)} of its peak"
            axis.plot([x], [y], linestyle="none", label=with_layers(label, point.row.layers), **look)
        plain_log_ticks(axis.xaxis, *axis.get_xlim())
        plain_log_ticks(axis.yaxis, *axis.get_ylim())
        axis.grid(visible=True, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xlabel("operations of matrix products per byte that they take and give (log scale)")
        axis.set_ylabel("GFLOP/s in matrix products (log scale)")
        canvas.figure.legend(loc="outside lower left", fontsize=9)
        return canvas.finish(
            NAME,
            _title(placed, summary.bytes_per_s),
            "The slanted line is what memory allows if no cache holds anything, a level line what the cores reach at "
            "most in a precision; both were measured before the trials. A dotted line leads from a combination to "
            "its limit: as far as it reaches, time goes into other things than matrix products at their peak "
            "(operators beside them, their handing over, waiting, products that are narrow). A point above the slanted "
            "line computes from caches.",
        )


def _draw_limits(axis: Axes, peaks: list[MatmulPeak], summary: Summary) -> None:
    assert summary.bytes_per_s is not None
    (left, right), (bottom, _) = axis.get_xlim(), axis.get_ylim()
    per_byte = summary.bytes_per_s / GIGA
    top = max(peak.flops for peak in peaks) / GIGA
    begin = max(left, bottom / per_byte)
    axis.plot([begin, top / per_byte], [begin * per_byte, top], color=INK, linewidth=1.4, zorder=0.8)
    middle = (begin * top / per_byte) ** 0.5
    label = f"memory: {digits(per_byte)} GB/s"
    axis.text(middle / 1.05, middle * per_byte * 1.1, label, ha="right", va="bottom", color=MUTED, fontsize=9)
    below = 0.0
    for peak in sorted(peaks, key=lambda peak: peak.flops):
        level = peak.flops / GIGA
        axis.plot([level / per_byte, right], [level, level], color=INK, linewidth=1.4, zorder=0.8)
        if level > NEAR * below:
            label = f"{name_of_peak(peak, summary.device)}: {digits(level)} GFLOP/s"
            axis.text(right / 1.05, level * 1.06, label, ha="right", va="bottom", color=MUTED, fontsize=9)
            below = level


def _title(placed: list[PlacedUsage], bytes_per_s: float) -> str:
    first, last = placed[0], placed[-1]
    said = f"Matrix products reach {_percent(first.share)} of their peak with the baseline"
    if last is not first:
        said += f", {_percent(last.share)} with the {last.role} set"
    from_memory = bytes_per_s * last.flops_per_byte / last.peak_flops
    return f"{said}; without caches, memory would allow {_percent(from_memory)}" if from_memory < FALLS_SHORT else said


def _percent(share: float) -> str:
    return f"{digits(100 * share)}%"

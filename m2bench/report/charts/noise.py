"""What identical trials say of the machine: drift over the run, and the A/A test."""

from __future__ import annotations

from statistics import geometric_mean

from matplotlib.ticker import FuncFormatter

from m2bench.summary.ablation_summary import Summary
from m2bench.summary.noise import Repeats
from m2bench.text.figures import times, times_within
from m2bench.text.speed import Speed

from .style import GAIN, INK, LOSS, MUTED, Chart, NotDrawn, drawing

NAME = "noise"


def draw(summary: Summary) -> Chart | NotDrawn:
    """Left, every baseline in the order of the run; right, one half of them against the other."""
    repeats, anchors = summary.noise.repeats, summary.noise.anchors
    if len(anchors) < 2 or repeats.aa_ratio is None:
        return NotDrawn(NAME, "fewer than two baseline trials were measured")
    middle = geometric_mean([anchor.episodes_per_min for anchor in anchors])
    ratios = [anchor.episodes_per_min / middle for anchor in anchors]
    with drawing(3.8, columns=2, gridspec_kw={"width_ratios": [3, 1]}) as canvas:
        drift, halves = canvas.axes
        drift.plot([anchor.trial for anchor in anchors], ratios, "o-", color=GAIN, linewidth=0.8, markersize=5)
        drift.axhline(1.0, color=MUTED, linewidth=1.0, zorder=0.5)
        speed = Speed.of(summary.system)
        drift.set_xlabel(f"{speed.words.trial} of the run")
        drift.set_ylabel(f"baseline's {speed.noun} over its mean")
        ends, clean = repeats.aa_ratio.interval, not repeats.aa_ratio.shows_effect
        halves.axhline(1.0, color=MUTED, linewidth=1.0, zorder=0.5)
        if ends is not None:
            halves.plot([0, 0], ends, color=INK if clean else LOSS, linewidth=2.0)
        halves.plot([0], [repeats.aa_ratio.value], "o", color=INK if clean else LOSS)
        halves.set_xticks([0], ["A/A test"])
        halves.set_xlim(-1, 1)
        far = max(abs(value - 1) for value in (*ratios, *(ends or ()), 1.05))
        for axis in (drift, halves):
            axis.set_ylim(max(0.0, 1 - 1.1 * far), 1 + 1.1 * far)  # no speed is below 0
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}x"))
            axis.grid(axis="y", linewidth=0.6)
        return canvas.finish(
            NAME,
            _title(repeats),
            "Left: baseline trials between the others; a slope is drift of the machine, which the analysis removes. "
            "Right: one half of the baseline trials over the other half; the 95 % interval includes 1x in 19 of 20 "
            "sound runs.",
        )


def _title(repeats: Repeats) -> str:
    said = (
        "excludes 1x, as in 1 of 20 sound runs" if repeats.aa_ratio and repeats.aa_ratio.shows_effect else "includes 1x"
    )
    differed = f"{times(repeats.aa_typical)} from one to the next, at worst {times(repeats.aa_worst)}"
    title = f"Identical baseline trials differ by {differed}; A/A test {times_within(repeats.aa_ratio)} {said}"
    return title if repeats.drift is None else f"{title}; drift {times_within(repeats.drift)}"

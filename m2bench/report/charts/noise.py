"""What identical trials say of the machine: drift over the run, and the A/A test."""

from __future__ import annotations

from statistics import geometric_mean

from matplotlib.ticker import FuncFormatter

from m2bench.text.figures import times, times_between, times_within

from .style import GAIN, INK, LOSS, MUTED, Canvas, Chart, Document, NotDrawn

NAME = "noise"


def draw(summary: Document) -> Chart | NotDrawn:
    """Left, every baseline in the order of the run; right, one half of them against the other."""
    noise = summary["noise"]
    anchors = noise["anchors"]
    if len(anchors) < 2 or noise["aa_ratio"] is None:
        return NotDrawn(NAME, "fewer than two baselines were measured")
    middle = geometric_mean([anchor["episodes_per_min"] for anchor in anchors])
    ratios = [anchor["episodes_per_min"] / middle for anchor in anchors]
    with Canvas(3.8, columns=2, gridspec_kw={"width_ratios": [3, 1]}) as canvas:
        drift, halves = canvas.axes
        drift.plot([anchor["trial"] for anchor in anchors], ratios, "o-", color=GAIN, linewidth=0.8, markersize=5)
        drift.axhline(1.0, color=MUTED, linewidth=1.0, zorder=0.5)
        drift.set_xlabel("trials since the run began")
        drift.set_ylabel("baseline's speed over its mean")
        ends = noise["aa_ci"]
        clean = ends is None or ends[0] <= 1 <= ends[1]
        halves.axhline(1.0, color=MUTED, linewidth=1.0, zorder=0.5)
        if ends is not None:
            halves.plot([0, 0], ends, color=INK if clean else LOSS, linewidth=2.0)
        halves.plot([0], [noise["aa_ratio"]], "o", color=INK if clean else LOSS)
        halves.set_xticks([0], ["A/A test"])
        halves.set_xlim(-1, 1)
        far = max(abs(value - 1) for value in (*ratios, *(ends or ()), 1.05))
        for axis in (drift, halves):
            axis.set_ylim(1 - 1.1 * far, 1 + 1.1 * far)
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}x"))
            axis.grid(axis="y", linewidth=0.6)
        return canvas.finish(
            NAME,
            _title(noise, clean),
            "Left: the same baseline again and again between the other trials; a slope would be the machine's drift, "
            "which the analysis takes out. Right: one half of these baselines against the other; the 95 % interval "
            "includes 1x in 19 of 20 sound runs.",
        )


def _title(noise: Document, clean: bool) -> str:
    test = times_between(noise["aa_ratio"], noise["aa_ci"])
    said = "includes 1x" if clean else "leaves out 1x, as 1 in 20 sound runs does"
    apart = f"{times(noise['aa_typical'])} from one to the next, at worst by {times(noise['aa_worst'])}"
    title = f"Identical baselines differ by {apart}; A/A {test} {said}"
    return title if noise["drift"] is None else f"{title}; drift {times_within(noise, 'drift')}"

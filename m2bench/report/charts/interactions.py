"""Which layers help or hinder each other."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from m2bench.text.figures import times

from .style import GAIN, INK, LOSS, MUTED, SURFACE, Canvas, Chart, Document, NotDrawn, shade

NAME = "interactions"
SIGNIFICANT = 0.05


def draw(summary: Document) -> Chart | NotDrawn:
    """A square of layers: its diagonal the main effects, below it the pairs."""
    pairs = {frozenset(entry["pair"]): entry for entry in summary["interactions"] or ()}
    if not pairs:
        return NotDrawn(NAME, "what was measured does not tell interactions of two layers")
    layers = summary["layers"]
    strongest = max(abs(math.log(entry["effect"])) for entry in pairs.values())
    with Canvas(1.6 + 0.62 * len(layers)) as canvas:
        (axis,) = canvas.axes
        for row, below in enumerate(layers):
            if below["main_effect"] is not None:
                _cell(axis, row, row, times(below["main_effect"]), SURFACE, 1.0, "normal", MUTED)
            for column, other in enumerate(layers[:row]):
                entry = pairs.get(frozenset((below["name"], other["name"])))
                if entry is not None:
                    sure = entry["p_holm"] is not None and entry["p_holm"] < SIGNIFICANT
                    colour = GAIN if entry["effect"] >= 1 else LOSS
                    text = times(entry["effect"]) + ("" if sure else "\nunsure")
                    opacity = shade(entry["effect"], strongest) if sure else 0.05
                    _cell(axis, row, column, text, colour, opacity, "bold" if sure else "normal", INK)
        names = [layer["name"] for layer in layers]
        axis.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
        return canvas.finish(
            NAME,
            _title(list(pairs.values())),
            "Off the diagonal: how many times more one layer gains with the other on than with it off (above 1 they "
            "help each other, below 1 they do the same work twice or get in each other's way). Bold: shown, after "
            "correction for the number of pairs. Framed on the diagonal: each layer's main effect. Intervals: see the "
            "table.",
        )


def _cell(axis: Axes, row: int, column: int, text: str, colour: str, opacity: float, weight: str, ink: str) -> None:
    box = Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, facecolor=colour, alpha=opacity, linewidth=0)
    axis.add_patch(box)
    if row == column:
        frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=MUTED, linewidth=0.8)
        axis.add_patch(frame)
    axis.text(column, row, text, ha="center", va="center", fontweight=weight, color=ink, fontsize=9)


def _title(pairs: list[Document]) -> str:
    shown = [entry for entry in pairs if entry["p_holm"] is not None and entry["p_holm"] < SIGNIFICANT]
    if not shown:
        return "No pair of layers is shown to help or hinder each other"
    best, worst = max(shown, key=lambda e: float(e["effect"])), min(shown, key=lambda e: float(e["effect"]))
    sentences = []
    if best["effect"] > 1:
        sentences.append(f"{' and '.join(best['pair'])} help each other most ({times(best['effect'])})")
    if worst["effect"] < 1:
        sentences.append(f"{' and '.join(worst['pair'])} hinder each other most ({times(worst['effect'])})")
    return "; ".join(sentences)

"""Which layers help or hinder each other."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from m2bench.summary.ablation_summary import Interaction, Summary
from m2bench.text.figures import times

from .style import GAIN, INK, LOSS, MUTED, SURFACE, Chart, NotDrawn, drawing, shade

NAME = "interactions"
SIGNIFICANT = 0.05


def draw(summary: Summary) -> Chart | NotDrawn:
    """A square of layers: its diagonal the main effects, below it the pairs."""
    pairs = {frozenset(found.pair): found for found in summary.interactions or ()}
    if not pairs:
        return NotDrawn(NAME, "the measured combinations do not determine interactions of two layers")
    layers = summary.layers
    strongest = max(abs(math.log(found.effect.value)) for found in pairs.values())
    with drawing(1.6 + 0.62 * len(layers)) as canvas:
        (axis,) = canvas.axes
        for row, below in enumerate(layers):
            if below.speed.main_effect is not None:
                _cell(axis, row, row, times(below.speed.main_effect.value), SURFACE, 1.0, "normal", MUTED)
            for column, other in enumerate(layers[:row]):
                found = pairs.get(frozenset((below.name, other.name)))
                if found is not None:
                    sure, effect = _is_shown(found), found.effect.value
                    colour = GAIN if effect >= 1 else LOSS
                    text = times(effect) + ("" if sure else "\nunsure")
                    opacity = shade(effect, strongest) if sure else 0.05
                    _cell(axis, row, column, text, colour, opacity, "bold" if sure else "normal", INK)
        names = [layer.name for layer in layers]
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
            "Below the diagonal: the gain of one layer with the other on, over its gain with the other off. Above 1 "
            "they help each other, below 1 they hinder each other. Bold: significant after correction for the number "
            "of pairs. Framed on the diagonal: main effects. Intervals are in the table."
            + (" Empty: one needs or excludes the other." if summary.rules else ""),
        )


def _cell(axis: Axes, row: int, column: int, text: str, colour: str, opacity: float, weight: str, ink: str) -> None:
    box = Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, facecolor=colour, alpha=opacity, linewidth=0)
    axis.add_patch(box)
    if row == column:
        frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=MUTED, linewidth=0.8)
        axis.add_patch(frame)
    axis.text(column, row, text, ha="center", va="center", fontweight=weight, color=ink, fontsize=9)


def _is_shown(found: Interaction) -> bool:
    return found.p_holm is not None and found.p_holm < SIGNIFICANT


def _title(pairs: list[Interaction]) -> str:
    shown = sorted(filter(_is_shown, pairs), key=lambda found: found.effect.value)
    if not shown:
        return "No pair of layers is shown to help or hinder each other"
    worst, best, sentences = shown[0], shown[-1], []
    if best.effect.value > 1:
        sentences.append(f"{' and '.join(best.pair)} help each other most ({times(best.effect.value)})")
    if worst.effect.value < 1:
        sentences.append(f"{' and '.join(worst.pair)} hinder each other most ({times(worst.effect.value)})")
    return "; ".join(sentences)

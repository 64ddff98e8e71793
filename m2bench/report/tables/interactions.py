"""Main effects of the layers, and interactions of pairs of them."""

from __future__ import annotations

from collections.abc import Sequence

from m2bench.report.charts.interactions import SIGNIFICANT
from m2bench.summary.ablation_summary import Interaction, Summary
from m2bench.text.figures import NOTHING, times_within
from m2bench.text.tables import Table

MOST_PAIRS = 15


def interactions_table(summary: Summary) -> Table | None:
    """What layers do on average, and how much more or less beside each other."""
    if not summary.interactions:
        return None
    rows = [
        (layer.name, "main effect", times_within(layer.speed.main_effect), _shown(layer.speed.main_effect_p_holm))
        for layer in summary.layers
        if layer.speed.main_effect is not None
    ]
    pairs = _clearest(summary.interactions)
    rows += [
        (" and ".join(found.pair), "interaction", times_within(found.effect), _shown(found.p_holm)) for found in pairs
    ]
    left_out = len(summary.interactions) - len(pairs)
    return Table(
        title="Main effects and interactions (the gain of a layer with the other one on, over its gain with it off)",
        columns=("layer or pair", "kind", "effect", "shown"),
        rows=rows,
        numeric=frozenset({"effect"}),
        droppable=("kind",),
        notes=(
            f"shown: significant at {SIGNIFICANT:.0%}, corrected for the number of main effects or of pairs (Holm). "
            "Brackets: 95 % intervals, not corrected.",
            *[f"Left out: {left_out} pairs that are not shown to interact. They are in summary.json."] * bool(left_out),
        ),
    )


def _clearest(interactions: Sequence[Interaction]) -> list[Interaction]:
    """All pairs, or of many those that are shown to interact, and the clearest of the others."""
    clear = sorted(interactions, key=lambda found: 1.0 if found.p_holm is None else found.p_holm)
    shown = sum(found.p_holm is not None and found.p_holm < SIGNIFICANT for found in clear)
    kept = clear[: max(MOST_PAIRS, shown)]
    return [found for found in interactions if found in kept]


def _shown(p: float | None) -> str:
    return NOTHING if p is None else "yes" if p < SIGNIFICANT else "no"

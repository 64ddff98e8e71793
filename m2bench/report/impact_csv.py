"""The figures of the layers as a table for spreadsheets."""

from __future__ import annotations

import csv
import io

from m2bench.records.figure import value_of
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import LayerRow


def impact_csv(summary: Summary) -> str:
    """A row per layer."""
    rows = [_row(layer, summary.device_faults) for layer in summary.layers]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(layer: LayerRow, device_faults: tuple[str, ...]) -> dict[str, object]:
    low, high = layer.claim.claim or (None, None)
    shapley_low, shapley_high = (layer.speed.shapley and layer.speed.shapley.interval) or (None, None)
    return {
        "layer": layer.name,
        "part": layer.part,
        "difficulty": layer.difficulty,
        "priority": layer.priority,
        "claim_low": low,
        "claim_high": high,
        "alone": value_of(layer.speed.alone),
        "last": value_of(layer.speed.last),
        "main_effect": value_of(layer.speed.main_effect),
        "shapley": value_of(layer.speed.shapley),
        "shapley_ci_low": shapley_low,
        "shapley_ci_high": shapley_high,
        "share": value_of(layer.speed.share),
        "verdict": layer.verdict,
        "episodes_needed": value_of(layer.learning.episodes_needed),
        "time_to_target": value_of(layer.time_to_target),
        "gain_surviving": value_of(layer.gain_surviving),
        "learning": layer.learning.learning,
        "device_faults": "; ".join(device_faults),
    }

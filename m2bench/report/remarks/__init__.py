"""What a reader must know to weigh the figures: how they were measured, and how sure they are."""

from __future__ import annotations

from m2bench.report.sentences import counted
from m2bench.summary.ablation_summary import Summary
from m2bench.text.speed import Speed

from .learning import learning_remarks
from .noise import noise_remarks
from .numerics import numerics_remarks
from .usage import usage_remarks


def remarks(summary: Summary) -> list[str]:
    """One sentence or a few on each matter."""
    blocks, speed = summary.workload.spec.blocks, Speed.of(summary.system)
    return [
        f"{summary.trials_done} of {summary.trials_planned} {speed.words.trial}s done, in {counted(blocks, 'block')}. "
        "Each trial is a process of its own and one observation. Ratios are least-squares estimates on logarithms with "
        "a level for every mini-block; intervals are t intervals.",
        *_told_apart(summary),
        *summary.workload.description.market_remarks,
        *noise_remarks(summary.noise, speed),
        *numerics_remarks(summary),
        *learning_remarks(summary),
        *usage_remarks(summary),
    ]


def _told_apart(summary: Summary) -> list[str]:
    """What a fraction tells apart and what it does not."""
    layers, rules = summary.workload.spec.layers, summary.rules
    if not summary.interactions:
        return []
    possible, measured = len(rules.allowed(layers)), len(summary.combinations)
    if measured == possible:
        return []
    return [
        f"{measured} of {possible:,} possible combinations are in the design. Effects of layers and of pairs of layers "
        "can be separated. Those of three or more layers cannot: where there are any, they are part of the figures of "
        "layers and pairs, and of the predictions for combinations that were not measured."
    ]

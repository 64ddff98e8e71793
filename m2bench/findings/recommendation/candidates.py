"""The sets that may be recommended, and which of them is predicted to be the fastest. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations as pairs_of

from m2bench.records.combinations import BASELINE, Layers
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.prediction import Prediction
from m2bench.summary.rows import CombinationRow


def unmeasured(combinations: Sequence[CombinationRow], speeds: Prediction, spoiling: Layers) -> list[Layers]:
    """The sets that the run predicts without having measured them.

    None with a part that failed in any way, or with two layers that never ran well together.
    """
    if not speeds.predicts_all:
        return []
    planned = {c.layers for c in combinations}
    together = {pair for c in combinations if c.is_rated for pair in pairs_of(c.layers, 2)}
    doubtful = [{*c.layers} for c in combinations if c.trials and c.layers and not c.is_rated]
    doubtful += [{layer} for layer in spoiling]
    return [
        name
        for name in speeds.rules.allowed(speeds.layers)
        if name not in planned
        and together.issuperset(pairs_of(name, 2))
        and not any(part <= {*name} for part in doubtful)
    ]


def ranked(sets: list[Layers], speeds: Prediction) -> list[Layers]:
    """The sets, the one that is predicted to be fastest first."""
    return sorted(sets, key=lambda name: (_log(speeds.ratio(name)), -len(name)), reverse=True)


def fastest_of(sets: list[Layers], speeds: Prediction) -> Layers:
    """The set that is predicted to be fastest; the baseline where there is none."""
    return ranked(sets, speeds)[0] if sets else BASELINE


def _log(estimate: Estimate | None) -> float:
    """To 0.01 %, so that sets of equal speed are ranked by their size and not by rounding."""
    return -math.inf if estimate is None else round(math.log(estimate.ratio), 4)

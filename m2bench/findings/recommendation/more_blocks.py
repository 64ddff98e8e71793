"""How many more blocks would settle a recommendation. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from m2bench.findings.gains import INDIFFERENT
from m2bench.records.combinations import Layers
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import CONFIDENCE
from m2bench.summary.ablation_summary import Rival

from .shown import ShownToHelp

MOST_BLOCKS = 1000  # that anybody would add


def more_blocks(
    rivals: Sequence[Rival], blocks: int, missing_blocks: int, shown: ShownToHelp, measured: Collection[Layers]
) -> int | None:
    """How many more blocks would tell the best sets apart; 0 where no other set can be faster by what matters.

    Where no set is left to compare with, as many as it takes until the others have intervals. These shrink with the
    square root of the blocks. None where no practical number of blocks would do, or where the
    run did not measure a rival without one of its layers: more of the same trials do not tell what that layer does.
    """
    open_ones = [rival for rival in rivals if rival.ratio.interval is None or rival.ratio.interval[1] > 1 + INDIFFERENT]
    if not open_ones:
        return missing_blocks
    needed = [
        _times_the_blocks(rival.ratio.value, rival.log_se, rival.degrees, shown)
        for rival in open_ones
        if rival.log_se is not None and rival.degrees is not None and rival.ratio.interval is not None
    ]
    if not needed:
        return max(1, missing_blocks)
    if not all(rest in measured for rival in open_ones for rest in shown.rests(rival.layers)):
        return None
    more = max(1, math.ceil(blocks * (max(needed) - 1)))
    return more if more < MOST_BLOCKS else None


def _times_the_blocks(ratio: float, se: float, degrees: float, shown: ShownToHelp) -> float:
    """How many times as many trials would show that a rival is not faster by what matters, or that it is faster.

    Its true ratio is not known yet. It is taken to be no loss, and to lie half of what matters or more from a decision.
    """
    matters, log = math.log(1 + INDIFFERENT), math.log(ratio)
    gap = max(min(matters - log, matters), matters / 2)
    not_faster = t_quantile((1 + CONFIDENCE) / 2, degrees) * se / gap
    faster = t_quantile(1 - shown.level, degrees) * se / max(log, matters / 2)
    return min(not_faster, faster) ** 2

"""What the figures say about the claims. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from m2bench.records.description import Claim, LayerDescription, Unit
from m2bench.records.figure import Figure
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate
from m2bench.summary.ablation import Gains
from m2bench.summary.rows import Judgement, LayerRow
from m2bench.text.figures import percent, times, times_within, within

from .layer_learning import Setbacks

INDIFFERENT = 0.05  # a share of the speed that nobody would switch a layer on or off for
MOST_OF_IT = 0.9  # of all gains: the layers that are named as making them


@final
@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim, and the sentence that says why."""

    verdict: Judgement
    sentence: str


UNIT = Unit()


def judge_claim(
    layer: LayerDescription, measured: Estimate | None, disturbed: bool = False, speed: str = "speed"
) -> ClaimVerdict | None:
    """The layer's claimed range against what was measured of it alone; None where nothing was measured or claimed.

    ``speed``: what reports call the speed, for a claim that names no phase.

    The interval decides: *exceeded* when it lies above the range; *confirmed* when it lies above the range's lower
    end; *short* when it lies below the range but above no effect; *refuted* when below the range and no gain is
    shown; otherwise *inconclusive*. What was measured beside other load (``disturbed``) is always inconclusive. A claim
    of no extra cost (1.0) holds for a cost below INDIFFERENT.
    """
    claim = layer.claim
    if claim is None:
        return None
    what = f"the {claim.phase}" if claim.phase else speed
    claimed = f"claimed {claim.text}"
    if layer.unsupported:
        return ClaimVerdict("unsupported", f"{claimed}; cannot run here: {layer.unsupported}")
    if measured is None:
        return None
    if measured.interval is None:
        return ClaimVerdict("inconclusive", f"{claimed}, measured {times(measured.ratio)} on {what}: no interval")
    low, high = measured.interval
    found = f"{claimed}, measured {times_within(measured.figure)} on {what}"
    if disturbed:
        return ClaimVerdict("inconclusive", f"{found}: other processes kept cores busy during too many trials")
    least = claim.low * (1 - INDIFFERENT) if claim.low == 1 else claim.low
    most = claim.high * (1 + INDIFFERENT) if claim.low == 1 else claim.high
    if low > most:
        return ClaimVerdict("exceeded", f"{found}: more than claimed")
    if low >= least:
        return ClaimVerdict("confirmed", f"{found}: as claimed")
    if high >= least:
        return ClaimVerdict("inconclusive", f"{found}: the interval contains the lower end of the claim")
    if low > 1:
        return ClaimVerdict("short", f"{found}: a gain, but less than claimed")
    return ClaimVerdict("refuted", f"{found}: {'slower' if high < 1 else 'no gain is shown'}")


def also_claimed(
    claim: Claim, memory: Figure | None, setbacks: Setbacks | None, learning: str, unit: Unit = UNIT
) -> str:
    """The rest of the sentence on a claim: on memory and stability, if they are claimed, and on learning."""
    claimed = claim.memory
    found = ""
    if claimed is None and "memory" in claim.text:
        found = "; memory: not judged, the run did not store the claim"
    if claimed is not None and memory is not None and memory.interval is not None:
        low, high = memory.interval
        verdict = "as claimed" if high <= claimed else "inconclusive" if low <= claimed else "refuted"
        found = f"; memory claimed {claimed}x, measured {times_within(memory)}: {verdict}"
    if "stability" in claim.text:
        found += f"; stability: {_judge_stability(setbacks)}"
    return f"{found}; learning from the same {unit.many}: {learning}"


def _judge_stability(found: Setbacks | None) -> str:
    """Steadier is what falls back less on its way to the learning target."""
    if found is None:
        return "not measured, fewer than two seeds learned both with the layer alone and with no layer"
    low, high = found.interval
    verdict = "as claimed" if high < 0 else "refuted" if low > 0 else "inconclusive"
    with_it, without = (percent(share) for share in (found.with_it, found.without))
    difference = within(Figure(found.with_it - found.without, found.interval).percent(), " points")
    return (
        f"{with_it} of the return's movement on the way to the target is downwards, {without} without the layer "
        f"({difference}, {found.seeds} seeds): {verdict}"
    )


def attribute_gains(layers: Sequence[LayerRow], speeds: Effects) -> Gains | None:
    """The layers that are shown to gain, and the fewest of them that make most of the gain; None without any."""
    values = {
        x.name: x.speed.shapley.value
        for x in layers
        if x.speed.shapley and x.speed.shapley.shows_gain and x.name in speeds.all_together
    }
    names = tuple(sorted(values, key=lambda name: -values[name]))
    for count in range(1, len(names) + 1):
        share = speeds.share_of(names[:count], names)
        if share.ratio >= MOST_OF_IT:
            return Gains(names, names[:count], share.figure)
    return None


def smallest_effect_seen(effects: Effects) -> float | None:
    """The smallest main effect, as a ratio above 1, that such a run finds at 5 % in 80 % of cases."""
    found = [effect for layer in effects.layers if (effect := effects.main_effect(layer)) is not None]
    errors = [effect.log_se for effect in found if effect.log_se is not None]
    if not errors or effects.scatter is None:
        return None
    degrees = effects.scatter.degrees
    return math.exp((t_quantile(0.975, degrees) + t_quantile(0.8, degrees)) * max(errors))

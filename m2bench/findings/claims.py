"""What the figures say about the claims. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from m2bench.records.description import Claim, LayerDescription
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, named
from m2bench.text.figures import percent, times, times_between, within

from .learning import Setbacks

INDIFFERENT = 0.05  # a share of the speed that nobody would switch a layer on or off for
MOST_OF_IT = 0.9  # of all gains: the layers that are named as making them

Document = dict[str, Any]


@dataclass(frozen=True)
class ClaimVerdict:
    """``confirmed``, ``exceeded``, ``short``, ``refuted``, ``inconclusive`` or ``unsupported``, and one sentence."""

    verdict: str
    sentence: str


def judge_claim(layer: LayerDescription, measured: Estimate | None, disturbed: bool = False) -> ClaimVerdict | None:
    """The layer's claimed range against what was measured of it alone; None where nothing was measured.

    The interval decides: *exceeded* when it lies above the range; *confirmed* when it lies above the range's lower
    end; *short* when it lies below the range but above no effect; *refuted* when below the range and no gain is
    shown; else *inconclusive*, as everything is that was measured beside other load (``disturbed``). A claim of no
    extra cost (1.0) may cost what is indifferent.
    """
    claim = layer.claim
    what = f"the {claim.phase}" if claim.phase else "episodes/min"
    claimed = f"claimed {claim.text}"
    if layer.unsupported:
        return ClaimVerdict("unsupported", f"{claimed}; cannot run here: {layer.unsupported}")
    if measured is None:
        return None
    if measured.interval is None:
        return ClaimVerdict(
            "inconclusive", f"{claimed}; {times(measured.ratio)} on {what}, with no interval to judge by"
        )
    low, high = measured.interval
    found = f"{claimed}; {times_between(measured.ratio, measured.interval)} on {what} alone"
    if disturbed:
        return ClaimVerdict("inconclusive", f"{found}: but other processes kept cores busy beside too many trials")
    least = claim.low * (1 - INDIFFERENT) if claim.low == 1 else claim.low
    most = claim.high * (1 + INDIFFERENT) if claim.low == 1 else claim.high
    if low > most:
        return ClaimVerdict("exceeded", f"{found}: more than claimed")
    if low >= least:
        return ClaimVerdict("confirmed", f"{found}: as claimed")
    if high >= least:
        return ClaimVerdict("inconclusive", f"{found}: the interval reaches into the claim and out of it")
    if low > 1:
        return ClaimVerdict("short", f"{found}: a gain, but less than claimed")
    return ClaimVerdict("refuted", f"{found}: {'it costs time' if high < 1 else 'no gain is shown'}")


def also_claimed(claim: Claim, memory: Document, setbacks: Setbacks | None, learning: str) -> str:
    """What is to be added to the sentence on a claim: memory and stability, where claimed too, and learning."""
    claimed = claim.memory
    found = ""
    if claimed is None and "memory" in claim.text:
        found = "; memory: not judged, for the run has not stored what is claimed of it"
    if claimed is not None and memory["alone_ci"] is not None:
        low, high = memory["alone_ci"]
        verdict = "as claimed" if high <= claimed else "inconclusive" if low <= claimed else "refuted"
        found = f"; memory, claimed {claimed}x: {times_between(memory['alone'], memory['alone_ci'])}, {verdict}"
    if "stability" in claim.text:
        found += f"; stability: {_judge_stability(setbacks)}"
    return f"{found}; learning from the same episodes: {learning}"


def _judge_stability(found: Setbacks | None) -> str:
    """Steadier is what falls back less on its way to the learning target."""
    if found is None:
        return "not measured, for fewer than two seeds learned both with the layer alone and without any"
    low, high = found.interval
    verdict = "as claimed" if high < 0 else "refuted" if low > 0 else "inconclusive"
    with_it, without = (percent(share) for share in (found.with_it, found.without))
    difference = within(100 * (found.with_it - found.without), [100 * low, 100 * high], " points")
    return (
        f"{with_it} of the return's movement on the way to the target goes down, {without} without the layer "
        f"({difference}, {found.seeds} seeds), {verdict}"
    )


def attribute_gains(layers: list[Document], speeds: Effects) -> Document | None:
    """The layers that are shown to gain, and the fewest of them that make most of it; None where none is."""
    gaining = [layer for layer in layers if layer["shapley_ci"] is not None and layer["shapley_ci"][0] > 1]
    names = [layer["name"] for layer in sorted(gaining, key=lambda layer: -float(layer["shapley"]))]
    for count in range(1, len(names) + 1):
        share = speeds.share_of(names[:count], names)
        if share.ratio >= MOST_OF_IT:
            return {"layers": names, "makers": names[:count], **named("share", share)}
    return None


def is_rated(combination: Document) -> bool:
    """Whether a combination can be called best: it computes the same, and none of its trials failed.

    Of the baseline's, which are many and which all others are compared with, some may have failed.
    """
    sound = combination["status"] == "ok" or not combination["layers"]
    return bool(sound and combination["numerics"] == "same" and combination["speedup"] is not None)


def smallest_effect_seen(effects: Effects) -> float | None:
    """The smallest main effect, as a ratio above 1, that such a run finds at 5 % in 80 % of cases."""
    found = [effect for layer in effects.layers if (effect := effects.main_effect(layer)) is not None]
    errors = [effect.log_se for effect in found if effect.log_se is not None]
    if not errors or effects.scatter is None:
        return None
    degrees = effects.scatter.degrees
    return math.exp((t_quantile(0.975, degrees) + t_quantile(0.8, degrees)) * max(errors))

"""What was claimed for a layer against what was measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from m2bench.records.description import Claim, LayerDescription, Unit
from m2bench.records.figure import Figure
from m2bench.statistics.estimate import Estimate
from m2bench.summary.rows import Judgement
from m2bench.text.figures import percent, times, times_within, within

from .gains import INDIFFERENT
from .layer_learning import Setbacks

UNIT = Unit()


@final
@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim, and the sentence that says why."""

    verdict: Judgement
    sentence: str


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

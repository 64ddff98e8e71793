"""What the figures say about the claims, and which layers to switch on. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .distributions import t_quantile
from .effects import Effects, Estimate, named
from .learning import Setbacks
from .spec import Layers, combination_name
from .tables import is_known, percent, times, times_between, times_within, within

INDIFFERENT = 0.05  # a share of the speed that nobody would switch a layer on or off for
MOST_OF_IT = 0.9  # of all gains: the layers that are named as making them

Document = dict[str, Any]
Sooner = Callable[[Document, Document], Estimate | None]
"""How many times sooner the first combination reaches the learning target than the second."""


@dataclass(frozen=True)
class ClaimVerdict:
    """``confirmed``, ``exceeded``, ``short``, ``refuted``, ``inconclusive`` or ``unsupported``, and one sentence."""

    verdict: str
    sentence: str


def judge_claim(layer: Document, measured: Estimate | None, disturbed: bool = False) -> ClaimVerdict | None:
    """The layer's claimed range against what was measured of it alone; None where nothing was measured.

    The interval decides: *exceeded* when it lies above the range; *confirmed* when it lies above the range's lower
    end; *short* when it lies below the range but above no effect; *refuted* when below the range and no gain is
    shown; else *inconclusive*, as everything is that was measured beside other load (``disturbed``). A claim of no
    extra cost (1.0) may cost what is indifferent.
    """
    claim = layer["claim"]
    what = f"the {claim['phase']}" if claim["phase"] else "episodes/min"
    claimed = f"claimed {claim['text']}"
    if layer["unsupported"]:
        return ClaimVerdict("unsupported", f"{claimed}; cannot run here: {layer['unsupported']}")
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
    least = claim["low"] * (1 - INDIFFERENT) if claim["low"] == 1 else claim["low"]
    most = claim["high"] * (1 + INDIFFERENT) if claim["low"] == 1 else claim["high"]
    if low > most:
        return ClaimVerdict("exceeded", f"{found}: more than claimed")
    if low >= least:
        return ClaimVerdict("confirmed", f"{found}: as claimed")
    if high >= least:
        return ClaimVerdict("inconclusive", f"{found}: the interval reaches into the claim and out of it")
    if low > 1:
        return ClaimVerdict("short", f"{found}: a gain, but less than claimed")
    return ClaimVerdict("refuted", f"{found}: {'it costs time' if high < 1 else 'no gain is shown'}")


def also_claimed(layer: Document, memory: Document, setbacks: Setbacks | None, learning: str) -> str:
    """What is to be added to the sentence on a claim: memory and stability, where claimed too, and learning."""
    claimed = layer["claim"].get("memory")
    found = ""
    if claimed is None and "memory" in layer["claim"]["text"]:
        found = "; memory: not judged, for the run has not stored what is claimed of it"
    if claimed is not None and memory["alone_ci"] is not None:
        low, high = memory["alone_ci"]
        verdict = "as claimed" if high <= claimed else "inconclusive" if low <= claimed else "refuted"
        found = f"; memory, claimed {claimed}x: {times_between(memory['alone'], memory['alone_ci'])}, {verdict}"
    if "stability" in layer["claim"]["text"]:
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


def recommend(
    layers: Layers, combinations: list[Document], speeds: Effects, sooner: Sooner, spoiling: Layers = ()
) -> Document | None:
    """The smallest set of layers that is as good as the best, what each of them is worth in it and what the others
    would cost, and how it stands to the fastest; None where fewer than two combinations can be compared.

    Where the time to a learning target is known it decides which episodes per update to take: only combinations that
    learn like the soonest one are compared further. Among these a set is as good as the best when the lower bound of
    its speed over the best one's lies within what is indifferent. A combination that computes something else is
    never recommended, nor one with a ``spoiling`` layer, which changes learning at equal episodes per update; nor,
    where the time to target cannot weigh it, one that is shown to learn otherwise.
    """
    rated = [c for c in combinations if is_rated(c)]
    sound = [c for c in rated if not set(c["layers"]) & set(spoiling)]
    arriving = [c for c in sound if c["time_to_target_s"] is not None and not c["time_to_target_modelled"]]
    if len(sound) < 2:
        return None
    if arriving:
        best = min(arriving, key=_seconds)
        alike = [c for c in arriving if c["episodes_per_update"] == best["episodes_per_update"]]
    else:
        alike = [c for c in sound if c["learning"] != "changed"] or sound
        best = max(alike, key=lambda c: float(c["speedup"]))
    good = [c for c in alike if _as_good(speeds, c, best)]
    chosen = min(good, key=lambda c: (len(c["layers"]), -c["speedup"]))
    fastest = max(rated, key=lambda c: float(c["speedup"]))
    return {
        "layers": chosen["layers"],
        "why": _why(chosen, best, bool(arriving)) + _doubts(best, chosen, combinations, arriving, sooner),
        "kept": [_switched(layers, layer, chosen, speeds) for layer in chosen["layers"]],
        "left_out": [_switched(layers, layer, chosen, speeds) for layer in layers if layer not in chosen["layers"]],
        "fastest": None
        if fastest is chosen
        else {
            "layers": fastest["layers"],
            **named("ratio", speeds.ratio(tuple(fastest["layers"]), tuple(chosen["layers"]))),
            "but": _why_not(fastest, chosen, arriving, spoiling, sooner),
        },
    }


def _as_good(speeds: Effects, combination: Document, best: Document) -> bool:
    if combination is best:
        return True
    over = speeds.ratio(tuple(combination["layers"]), tuple(best["layers"]))
    return over is not None and over.interval is not None and over.interval[0] >= 1 - INDIFFERENT


def _why(chosen: Document, best: Document, by_learning: bool) -> str:
    name = combination_name(tuple(best["layers"]))
    measure = "reaches the learning target soonest" if by_learning else "trains fastest (learning was not compared)"
    if (
        by_learning
        and best["learning"] == "changed"
        and best["episodes_needed"] is not None
        and is_known(best["episodes_needed_ci"])
    ):
        measure += f", although it needs {times_within(best, 'episodes_needed')} the baseline's episodes for it"
    if best["speedup_ci"] is None:
        return f"so far {name} {measure}; this is provisional, for without intervals nothing is shown"
    if chosen is best:
        return f"it {measure}, and no smaller set is shown to be within {INDIFFERENT:.0%} of it"
    return f"{name} {measure}; this smaller set is within {INDIFFERENT:.0%} of its episodes/min"


def _why_not(fastest: Document, chosen: Document, arriving: list[Document], spoiling: Layers, sooner: Sooner) -> str:
    """Why the fastest combination is not the recommended one."""
    spoilt = [layer for layer in fastest["layers"] if layer in spoiling]
    if spoilt:
        return f"with {' and '.join(spoilt)} it learns otherwise from the same episodes"
    if arriving and fastest not in arriving:
        modelled = fastest["time_to_target_s"] is not None
        return "its time to the learning target is " + ("known by a model alone" if modelled else "not known")
    learns_otherwise = fastest["episodes_per_update"] != chosen["episodes_per_update"]
    if arriving and (learns_otherwise or _seconds(fastest) > _seconds(chosen)):
        return _why_sooner(sooner(chosen, fastest))
    if not arriving and fastest["learning"] == "changed":
        return "it is shown to learn otherwise, which no time to a target weighs here"
    return f"this has fewer layers, and what is within {INDIFFERENT:.0%} of the best counts as good"


def _why_sooner(estimate: Estimate | None) -> str:
    """How much sooner the recommended combination reaches the target than the fastest, or that this is not shown."""
    if estimate is None or not is_known(estimate.interval):
        return "this is not shown to reach the learning target sooner"
    soon = f"{times_between(estimate.ratio, estimate.interval)} as soon"
    if _above_one(estimate):
        return f"this reaches the learning target {soon}"
    return f"this reaches the learning target an estimated {soon}, which is not shown to be sooner"


def _doubts(
    best: Document, chosen: Document, combinations: list[Document], arriving: list[Document], sooner: Sooner
) -> str:
    """What the recommendation is not shown to be better than, and what was left aside although it is faster."""
    doubts = []
    if best in arriving:
        groups = sorted({c["episodes_per_update"] for c in arriving} - {best["episodes_per_update"]})
        rivals = {
            group: min((c for c in arriving if c["episodes_per_update"] == group), key=_seconds) for group in groups
        }
        unsure = [str(group) for group, rival in rivals.items() if not _above_one(sooner(best, rival))]
        if unsure:
            doubts.append(f"that it is sooner than with {' or '.join(unsure)} episodes per update is not shown")
    # The baseline is what all are compared with: where one of its many trials fails, nobody forgoes anything.
    aside = [c for c in combinations if c["layers"] and c["speedup"] is not None and c["trials_ok"] < c["trials"]]
    faster = [c for c in aside if c["speedup"] > chosen["speedup"] or set(c["layers"]) < set(chosen["layers"])]
    for c in sorted(faster, key=lambda c: -float(c["speedup"]))[:1]:
        failed = f"{c['trials'] - c['trials_ok']} of {c['trials']} trials"
        doubts.append(f"{combination_name(tuple(c['layers']))} was left aside, since {failed} did not come out ok")
    return "".join(f"; {doubt}" for doubt in doubts)


def _seconds(combination: Document) -> float:
    return float(combination["time_to_target_s"])


def _above_one(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.interval is not None and estimate.interval[0] > 1


def _switched(layers: Layers, layer: str, chosen: Document, speeds: Effects) -> Document:
    """What switching this one layer would do to episodes/min: off where the set has it, on where it has not."""
    switched = tuple(x for x in layers if (x in chosen["layers"]) != (x == layer))
    return {"layer": layer, **named("ratio", speeds.ratio(switched, tuple(chosen["layers"])))}


def smallest_effect_seen(effects: Effects) -> float | None:
    """The smallest main effect, as a ratio above 1, that such a run finds at 5 % in 80 % of cases."""
    found = [effect for layer in effects.layers if (effect := effects.main_effect(layer)) is not None]
    errors = [effect.log_se for effect in found if effect.log_se is not None]
    if not errors or effects.noise is None:
        return None
    degrees = effects.noise[1]
    return math.exp((t_quantile(0.975, degrees) + t_quantile(0.8, degrees)) * max(errors))

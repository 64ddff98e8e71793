"""Which layers to switch on, how sure that is, and how many more blocks would settle it. Pure.

A set is recommended only of layers that are each shown to help, given the rest of the set. What is shown must be so for
all sets that were looked at together: the more are looked at, the better one of them looks by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import CONFIDENCE, Estimate, named
from m2bench.statistics.prediction import Prediction
from m2bench.text.figures import times_between

from .claims import INDIFFERENT, is_rated

FALSELY_SHOWN = 0.01  # the chance that any layer of any set is taken to help where none does
MOST_BLOCKS = 1000

Document = dict[str, Any]
Sooner = Callable[[Layers, Layers], Estimate | None]
"""How many times sooner the first combination reaches the learning target than the second."""


def recommend(
    layers: Layers,
    combinations: list[Document],
    speeds: Prediction,
    sooner: Sooner,
    spoiling: Layers,
    blocks: int,
    missing_blocks: int = 0,
) -> Document | None:
    """The set to switch on and what speaks for it; None where fewer than two combinations can be compared.

    By episodes per minute; by the time to the learning target where another set is shown to be sooner by it. A
    combination that computes something else is never recommended, nor one with a ``spoiling`` layer, which changes
    learning at equal episodes per update; nor, where the time to target cannot weigh it, one that is shown to learn
    otherwise. ``blocks`` are those of the run, ``missing_blocks`` those that it lacks for any intervals.
    """
    rated = {tuple(c["layers"]): c for c in combinations if is_rated(c)}
    sound = {name: c for name, c in rated.items() if not set(name) & set(spoiling)}
    arriving = {
        name: c for name, c in sound.items() if c["time_to_target_s"] is not None and not c["time_to_target_modelled"]
    }
    if len(sound) < 2:
        return None
    if not arriving:
        sound = {name: c for name, c in sound.items() if c["learning"] != "changed"} or sound
    shown = _ShownToHelp(list(sound), speeds)
    by_speed = _fastest([name for name in sound if shown.every_layer(name)], speeds)
    sizes = {tuple(c["layers"]): c["episodes_per_update"] for c in combinations}
    by_time, is_sooner = _soonest(list(arriving), sizes, by_speed, shown, speeds, sooner)
    chosen = by_time if by_time is not None and is_sooner else by_speed

    def weighed_by_time(name: Layers) -> bool:
        """Whether another set is held against the chosen one by time: where that decides and it learns otherwise."""
        return chosen != by_speed and name in sound and sizes[name] != sizes[chosen]

    def merit(name: Layers) -> Estimate | None:
        """How good another set is over the chosen one."""
        return sooner(name, chosen) if weighed_by_time(name) else speeds.ratio(name, chosen)

    rivals = [found for name in sound if name != chosen and (found := _rival(name, merit(name))) is not None]

    def left_out(layer: str) -> Document:
        """What adding a layer would do to the speed, and whether it is shown to be of use, and by what."""
        joined = tuple(x for x in layers if x in chosen or x == layer)
        by_time, gain = weighed_by_time(joined), merit(joined)
        state = "helps" if not by_time and shown.is_shown(gain) else _state(gain)
        return {
            **_switched(layers, layer, chosen, speeds),
            "state": _aside(layer, joined, combinations, spoiling) or state,
            "by_time": by_time,
        }

    others = [left_out(layer) for layer in layers if layer not in chosen]
    return {
        "layers": list(chosen),
        "basis": "time to target" if chosen != by_speed else "speed",
        **named("speedup", speeds.ratio(chosen)),
        **named("episodes_per_min", speeds.level(chosen)),
        **_settled(rivals, blocks, missing_blocks, shown, rated),
        "kept": [_switched(layers, layer, chosen, speeds) for layer in chosen],
        "left_out": others,
        "undecided": [found["layer"] for found in others if found["state"] in ("undecided", "unknown")],
        "rivals": sorted(rivals, key=lambda rival: -float(rival["ratio"])),
        "by_speed": list(by_speed),
        "by_time": None
        if by_time is None
        else {"layers": list(by_time), "shown": is_sooner, **named("sooner", sooner(by_time, by_speed))},
        "fastest": _fastest_beside(chosen, by_speed, rated, speeds, spoiling, sooner),
        "excluded": _excluded(combinations, chosen),
    }


class _ShownToHelp:
    """Which layers are shown to help, given the rest of a set, among all sets and their layers together."""

    def __init__(self, sets: list[Layers], speeds: Prediction):
        self._speeds = speeds
        self.level = FALSELY_SHOWN / max(1, sum(len(chosen) for chosen in sets))
        """Of one test, one-sided, by Bonferroni's rule."""

    def every_layer(self, chosen: Layers, but: Collection[Layers] = ()) -> bool:
        """Whether every layer of the set is shown to help, ``but`` those without which the set is one of these."""
        return all(self.is_shown(self._speeds.ratio(chosen, rest)) for rest in _rests(chosen) if rest not in but)

    def is_shown(self, gain: Estimate | None) -> bool:
        """Whether this is a gain that is shown."""
        if gain is None or gain.p is None or gain.interval is None:
            return False
        return gain.ratio > 1 and gain.p / 2 <= self.level


def _fastest(sets: list[Layers], speeds: Prediction) -> Layers:
    """The one that is predicted to be fastest; the baseline where there is none."""
    return max(sets, key=lambda name: (_log(speeds.ratio(name)), -len(name)), default=BASELINE)


def _log(estimate: Estimate | None) -> float:
    return -math.inf if estimate is None else math.log(estimate.ratio)


def _soonest(
    arriving: list[Layers],
    sizes: Mapping[Layers, int | None],
    by_speed: Layers,
    shown: _ShownToHelp,
    speeds: Prediction,
    sooner: Sooner,
) -> tuple[Layers | None, bool]:
    """The set that learns soonest, and whether it is shown to be sooner than the one that is chosen by speed.

    Among combinations with equal episodes per update, which learn alike, the fastest of layers that are shown to help.
    A layer that changes the episodes per update must make the set sooner than the rest of it is, and that be shown.
    """
    if by_speed not in arriving:
        return None, False
    apart = {
        name: [rest for rest in _rests(name) if sizes.get(rest) not in (None, sizes[name])] for name in arriving
    }  # what learns otherwise without one of its layers
    found = {}
    for size in {sizes[name]: None for name in arriving}:
        alike = [name for name in arriving if sizes[name] == size]
        helped = [name for name in alike if shown.every_layer(name, apart[name])]
        best = by_speed if sizes[by_speed] == size else _fastest(helped, speeds)
        if best in alike:
            found[best] = 1.0 if best == by_speed else _ratio(sooner(best, by_speed))
    several = max(1, len(found) - 1)

    def is_sooner(name: Layers) -> bool:
        against = [sooner(name, other) for other in (by_speed, *apart[name])]
        return all(
            e is not None and e.p is not None and e.ratio > 1 and e.p / 2 * several <= (1 - CONFIDENCE) / 2
            for e in against
        )

    proved = [name for name in found if name != by_speed and is_sooner(name)]
    return max(proved or found, key=lambda name: found[name]), bool(proved)


def _ratio(estimate: Estimate | None) -> float:
    return 0.0 if estimate is None else estimate.ratio


def _rival(name: Layers, merit: Estimate | None) -> Document | None:
    """A set that is not shown to be worse than the chosen one."""
    if merit is None or (merit.interval is not None and merit.interval[1] < 1):
        return None
    return {"layers": list(name), **named("ratio", merit), "log_se": merit.log_se, "degrees": merit.degrees}


def _settled(
    rivals: list[Document], blocks: int, missing_blocks: int, shown: _ShownToHelp, measured: Collection[Layers]
) -> Document:
    """Whether no other set can be faster by what matters; else how many more blocks would tell.

    An interval shrinks with the root of the blocks. None where no practical number would tell, and in a fraction: of a
    set that was never measured without one of its layers, more of the same trials do not tell what that layer does.
    """
    open_ones = [rival for rival in rivals if rival["ratio_ci"] is None or rival["ratio_ci"][1] > 1 + INDIFFERENT]
    if not open_ones:
        return {"settled": True, "more_blocks": 0}
    needed = [_times_the_blocks(rival, shown) for rival in open_ones if rival["ratio_ci"] is not None]
    if not needed:
        return {"settled": False, "more_blocks": max(1, missing_blocks)}
    if not all(rest in measured for rival in open_ones for rest in _rests(tuple(rival["layers"]))):
        return {"settled": False, "more_blocks": None}
    more = max(1, math.ceil(blocks * (max(needed) - 1)))
    return {"settled": False, "more_blocks": more if more < MOST_BLOCKS else None}


def _rests(chosen: Layers) -> list[Layers]:
    """The set without each of its layers."""
    return [tuple(other for other in chosen if other != layer) for layer in chosen]


def _times_the_blocks(rival: Document, shown: _ShownToHelp) -> float:
    """How many times the trials would show that a rival is not faster by what matters, or else that it is faster.

    Where it lies is not known yet: it is taken to cost nothing, and to be half of what matters from a decision or more.
    """
    matters, log, se = math.log(1 + INDIFFERENT), math.log(rival["ratio"]), float(rival["log_se"])
    gap = max(min(matters - log, matters), matters / 2)
    not_faster = t_quantile((1 + CONFIDENCE) / 2, rival["degrees"]) * se / gap
    faster = t_quantile(1 - shown.level, rival["degrees"]) * se / max(log, matters / 2)
    return min(not_faster, faster) ** 2


def _state(found: Estimate | None) -> str:
    """What is known of a layer that is left out, from how good the set would be with it."""
    if found is None or found.interval is None:
        return "unknown"
    if found.interval[1] < 1:
        return "costs"
    return "negligible" if found.interval[1] <= 1 + INDIFFERENT else "undecided"


def _aside(layer: str, joined: Layers, combinations: list[Document], spoiling: Layers) -> str | None:
    """Why a layer cannot join the set, however fast it were; None where it could."""
    if layer in spoiling:
        return "spoils"
    having = [c for c in combinations if layer in c["layers"]]
    same = [c for c in having if tuple(c["layers"]) == joined]
    for c in same or (having if not any(map(is_rated, having)) else []):
        if c["status"] not in (None, "ok"):
            return str(c["status"])
        if c["numerics"] == "changed":
            return "changed"
    return None


def _switched(layers: Layers, layer: str, chosen: Layers, speeds: Prediction) -> Document:
    """What switching this one layer would do to the speed: off where the set has it, on where it has not."""
    switched = tuple(x for x in layers if (x in chosen) != (x == layer))
    return {"layer": layer, **named("ratio", speeds.ratio(switched, chosen))}


def _fastest_beside(
    chosen: Layers,
    by_speed: Layers,
    rated: dict[Layers, Document],
    speeds: Prediction,
    spoiling: Layers,
    sooner: Sooner,
) -> Document | None:
    """The combination that is predicted to be fastest, where it is another, and why it is not the recommended one."""
    fastest = _fastest(list(rated), speeds)
    if fastest == chosen:
        return None
    spoilt, soon = [layer for layer in fastest if layer in spoiling], sooner(chosen, fastest)
    if spoilt:
        but = f"with {' and '.join(spoilt)} it learns otherwise from the same episodes"
    elif chosen != by_speed and soon is not None and soon.interval is not None and soon.interval[0] > 1:
        gain = times_between(soon.ratio, soon.interval)
        but = f"the recommended one is shown to reach the learning target sooner ({gain})"
    elif rated[fastest]["learning"] == "changed" and rated[fastest]["time_to_target_s"] is None:
        but = "it is shown to learn otherwise, which no time to a target weighs here"
    else:
        but = "not every layer in it is shown to help, given the others"
    return {"layers": list(fastest), **named("ratio", speeds.ratio(fastest, chosen)), "but": but}


def _excluded(combinations: list[Document], chosen: Layers) -> str | None:
    """The fastest combination that was left aside because trials of it failed, and could have been recommended.

    Not the baseline, which is what all are compared with: where one of its many trials fails, nobody forgoes anything.
    """
    aside = [c for c in combinations if c["layers"] and c["speedup"] is not None and c["trials_ok"] < c["trials"]]
    own = next(c["speedup"] for c in combinations if tuple(c["layers"]) == chosen)
    better = [c for c in aside if c["speedup"] > own or set(c["layers"]) < set(chosen)]
    if not better:
        return None
    c = max(better, key=lambda c: float(c["speedup"]))
    failed = f"{c['trials'] - c['trials_ok']} of its {c['trials']} trials failed"
    return f"{combination_name(tuple(c['layers']))} was excluded: {failed}"

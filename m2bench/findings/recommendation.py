"""Which layers to switch on, how sure that is, and how many more blocks would settle it. Pure.

A set is recommended only of layers that are each shown to help, given the rest of the set: a layer with those that need
it, which go with it. What is shown must be so for all sets that were looked at together: the more are looked at, the
better one of them looks by chance. Where a fraction tells what every set does, one that was not measured itself may be
recommended, unless a part of it failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations as pairs_of
from typing import cast

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.rows import CombinationRow
from m2bench.records.summary import ByTime, Fastest, LeftOut, LeftOutState, Recommendation, Rival, SwitchedLayer
from m2bench.statistics.distributions import t_quantile
from m2bench.statistics.estimate import CONFIDENCE, Estimate, figure_of
from m2bench.statistics.prediction import Prediction
from m2bench.text.figures import times_within

from .claims import INDIFFERENT

FALSELY_SHOWN = 0.01  # the chance that any layer of any set is taken to help where none does
MOST_BLOCKS = 1000

Sooner = Callable[[Layers, Layers], Estimate | None]
"""How many times sooner the first combination reaches the learning target than the second."""


def recommend(
    layers: Layers,
    combinations: Sequence[CombinationRow],
    speeds: Prediction,
    sooner: Sooner,
    spoiling: Layers,
    blocks: int,
    missing_blocks: int = 0,
    of_a_fraction: bool = False,
) -> Recommendation | None:
    """The set to switch on and what speaks for it; None where fewer than two combinations can be compared.

    By episodes per minute; by the time to the learning target where another set is shown to be sooner by it. A
    combination that computes something else is never recommended, nor one with a ``spoiling`` layer, which changes
    learning at equal episodes per update; nor, where the time to target cannot weigh it, one that is shown to learn
    otherwise. ``blocks`` are those of the run, ``missing_blocks`` those that it lacks for any intervals.
    ``of_a_fraction``: the run measured a fraction that tells of every set what its layers and pairs do, so that one
    that was not measured itself may be recommended.
    """
    rated = {c.layers: c for c in combinations if c.is_rated}
    sound = {name: c for name, c in rated.items() if not set(name) & set(spoiling)}
    arriving = {name: c for name, c in sound.items() if c.has_own_time_to_target}
    if len(sound) < 2:
        return None
    if not arriving:
        sound = {name: c for name, c in sound.items() if c.learning.learning != "changed"} or sound
    candidates = [*sound, *(_unmeasured(combinations, speeds, spoiling) if of_a_fraction else ())]
    shown = _ShownToHelp(candidates, speeds)
    by_speed = next((name for name in _by_speed(candidates, speeds) if shown.every_layer(name)), BASELINE)
    sizes = {c.layers: c.learning.episodes_per_update for c in combinations}
    by_time, is_sooner = _soonest(list(arriving), sizes, by_speed, shown, speeds, sooner)
    chosen = by_time if by_time is not None and is_sooner else by_speed

    def weighed_by_time(name: Layers) -> bool:
        """Whether another set is held against the chosen one by time: where that decides and it learns otherwise."""
        return chosen != by_speed and name in sound and sizes[name] != sizes.get(chosen)

    def merit(name: Layers) -> Estimate | None:
        """How good another set is over the chosen one."""
        return sooner(name, chosen) if weighed_by_time(name) else speeds.ratio(name, chosen)

    def left_out(layer: str) -> LeftOut:
        """What adding a layer would do to the speed, and whether it is shown to be of use, and by what."""
        joined = speeds.rules.joined((layer,), chosen, layers)
        by_time, gain = weighed_by_time(joined), merit(joined)
        state: LeftOutState = "helps" if not by_time and shown.is_shown(gain) else _state(gain)
        return LeftOut(
            layer,
            figure_of(speeds.ratio(joined, chosen)),
            _aside(layer, joined, combinations, spoiling) or ("spoils" if joined in rated.keys() - sound else state),
            by_time,
        )

    rivals = [found for name in candidates if name != chosen and (found := _rival(name, merit(name))) is not None]
    others = [left_out(layer) for layer in layers if layer not in chosen]
    more_blocks = _more_blocks(rivals, blocks, missing_blocks, shown, {*rated, *candidates})
    return Recommendation(
        layers=chosen,
        basis="time to target" if chosen != by_speed else "speed",
        speedup=figure_of(speeds.ratio(chosen)),
        episodes_per_min=figure_of(speeds.level(chosen)),
        settled=more_blocks == 0,
        more_blocks=more_blocks,
        kept=tuple(
            SwitchedLayer(layer, figure_of(speeds.ratio(speeds.rules.without(layer, chosen), chosen)))
            for layer in chosen
        ),
        left_out=tuple(others),
        undecided=tuple(found.layer for found in others if found.state in ("undecided", "unknown")),
        rivals=tuple(sorted(rivals, key=lambda rival: -rival.ratio.value)),
        by_speed=by_speed,
        by_time=None if by_time is None else ByTime(by_time, is_sooner, figure_of(sooner(by_time, by_speed))),
        fastest=_fastest_beside(chosen, by_speed, rated, speeds, spoiling, sooner),
        excluded=_excluded(combinations, chosen),
    )


class _ShownToHelp:
    """Which layers are shown to help, given the rest of a set, among all sets and their layers together."""

    def __init__(self, sets: list[Layers], speeds: Prediction):
        self._speeds = speeds
        self.rules = speeds.rules
        self.level = FALSELY_SHOWN / max(1, sum(len(chosen) for chosen in sets))
        """Of one test, one-sided, by Bonferroni's rule."""

    def every_layer(self, chosen: Layers, but: Collection[Layers] = ()) -> bool:
        """Whether every layer of the set is shown to help, ``but`` those without which the set is one of these."""
        return all(self.is_shown(self._speeds.ratio(chosen, rest)) for rest in self.rests(chosen) if rest not in but)

    def rests(self, chosen: Layers) -> list[Layers]:
        """The set without each of its layers, and without what needs that one."""
        return [self.rules.without(layer, chosen) for layer in chosen]

    def is_shown(self, gain: Estimate | None) -> bool:
        """Whether this is a gain that is shown."""
        if gain is None or gain.p is None or gain.interval is None:
            return False
        return gain.ratio > 1 and gain.p / 2 <= self.level


def _unmeasured(combinations: Sequence[CombinationRow], speeds: Prediction, spoiling: Layers) -> list[Layers]:
    """The sets that the run does not measure and tells of nevertheless.

    None with a part that failed in any way, or with two layers that never came out well together.
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


def _by_speed(sets: list[Layers], speeds: Prediction) -> list[Layers]:
    """The one that is predicted to be fastest first."""
    return sorted(sets, key=lambda name: (_log(speeds.ratio(name)), -len(name)), reverse=True)


def _fastest(sets: list[Layers], speeds: Prediction) -> Layers:
    """The one that is predicted to be fastest; the baseline where there is none."""
    return _by_speed(sets, speeds)[0] if sets else BASELINE


def _log(estimate: Estimate | None) -> float:
    return -math.inf if estimate is None else math.log(estimate.ratio)


def _soonest(
    arriving: Sequence[Layers],
    sizes: Mapping[Layers, float | None],
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
    # What learns otherwise without one of its layers.
    apart = {
        name: [rest for rest in shown.rests(name) if sizes.get(rest) not in (None, sizes[name])] for name in arriving
    }
    found = {}
    for size in dict.fromkeys(sizes[name] for name in arriving):
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


def _rival(name: Layers, merit: Estimate | None) -> Rival | None:
    """A set that is not shown to be worse than the chosen one."""
    if merit is None or merit.figure.shows_loss:
        return None
    return Rival(name, merit.figure, merit.log_se, merit.degrees)


def _more_blocks(
    rivals: Sequence[Rival], blocks: int, missing_blocks: int, shown: _ShownToHelp, measured: Collection[Layers]
) -> int | None:
    """How many more blocks would tell the best sets apart: none where no other can be faster by what matters.

    An interval shrinks with the root of the blocks. None where no practical number would tell, and in a fraction: of a
    set without one of whose layers nothing is known, more of the same trials do not tell what that layer does.
    """
    open_ones = [rival for rival in rivals if rival.ratio.interval is None or rival.ratio.interval[1] > 1 + INDIFFERENT]
    if not open_ones:
        return 0
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


def _times_the_blocks(ratio: float, se: float, degrees: float, shown: _ShownToHelp) -> float:
    """How many times the trials would show that a rival is not faster by what matters, or else that it is faster.

    Where it lies is not known yet: it is taken to cost nothing, and to be half of what matters from a decision or more.
    """
    matters, log = math.log(1 + INDIFFERENT), math.log(ratio)
    gap = max(min(matters - log, matters), matters / 2)
    not_faster = t_quantile((1 + CONFIDENCE) / 2, degrees) * se / gap
    faster = t_quantile(1 - shown.level, degrees) * se / max(log, matters / 2)
    return min(not_faster, faster) ** 2


def _state(found: Estimate | None) -> LeftOutState:
    """What is known of a layer that is left out, from how good the set would be with it."""
    if found is None or found.interval is None:
        return "unknown"
    if found.interval[1] < 1:
        return "costs"
    return "negligible" if found.interval[1] <= 1 + INDIFFERENT else "undecided"


def _aside(layer: str, joined: Layers, combinations: Sequence[CombinationRow], spoiling: Layers) -> LeftOutState | None:
    """Why a layer cannot join the set, however fast it were; None where it could."""
    if layer in spoiling:
        return "spoils"
    having = [c for c in combinations if layer in c.layers]
    same = [c for c in having if c.layers == joined]
    for c in same or (having if not any(c.is_rated for c in having) else []):
        if c.status not in (None, "ok"):
            return cast(LeftOutState, c.status)
        if c.numerics.numerics == "changed":
            return "changed"
    return None


def _fastest_beside(
    chosen: Layers,
    by_speed: Layers,
    rated: Mapping[Layers, CombinationRow],
    speeds: Prediction,
    spoiling: Layers,
    sooner: Sooner,
) -> Fastest | None:
    """The combination that is predicted to be fastest, where it is another, and why it is not the recommended one."""
    fastest = _fastest([chosen, *rated], speeds)
    if fastest == chosen:
        return None
    spoilt, soon = [layer for layer in fastest if layer in spoiling], sooner(chosen, fastest)
    if spoilt:
        but = f"{' and '.join(spoilt)} changes what is learned from the same data"
    elif chosen != by_speed and soon is not None and soon.figure.shows_gain:
        but = f"the recommended set reaches the learning target sooner ({times_within(soon.figure)})"
    elif rated[fastest].learning.learning == "changed" and rated[fastest].learning.time_to_target_s is None:
        but = "it learns differently, and no time to a target tells what that costs"
    else:
        but = "not all of its layers are shown to help"
    return Fastest(fastest, figure_of(speeds.ratio(fastest, chosen)), but)


def _excluded(combinations: Sequence[CombinationRow], chosen: Layers) -> str | None:
    """The fastest combination that was left aside because trials of it failed, and could have been recommended.

    Not the baseline, which is what all are compared with: where one of its many trials fails, nobody forgoes anything.
    """
    speedups = {c.layers: c.speedup.value for c in combinations if c.speedup is not None}
    better = [
        c
        for c in combinations
        if c.layers in speedups
        and c.layers
        and c.trials_ok < c.trials
        and (speedups[c.layers] > speedups.get(chosen, math.inf) or set(c.layers) < set(chosen))
    ]
    if not better:
        return None
    c = max(better, key=lambda c: speedups[c.layers])
    return f"{combination_name(c.layers)} was excluded: {c.trials - c.trials_ok} of its {c.trials} trials failed"

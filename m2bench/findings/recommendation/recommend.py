"""The recommended set, what speaks for it, and what may be as good. Pure.

A set is recommended only if each of its layers is shown to help, given the rest of the set. A layer is tested together
with those that need it, since they go with it. All sets that are looked at are tested together: the more there are, the
better one of them looks by chance. Where a fraction predicts every set, one that was not measured itself may be
recommended, unless a part of it failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from m2bench.findings.gains import INDIFFERENT
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.prediction import Prediction
from m2bench.summary.ablation_summary import (
    ByTime,
    Fastest,
    LeftOut,
    LeftOutState,
    Recommendation,
    Rival,
    SwitchedLayer,
)
from m2bench.summary.rows import CombinationRow
from m2bench.text.figures import times_within

from .candidates import fastest_of, ranked, unmeasured
from .more_blocks import more_blocks
from .shown import ShownToHelp
from .soonest import Sooner, soonest


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

    The set is chosen by speed, or by the time to the learning target where another set is shown to be sooner.
    Never recommended: a combination that computes something else; one with a ``spoiling`` layer, which changes
    learning at equal episodes per update; and, where no time to target weighs it, one that is shown to learn otherwise.
    ``blocks``: those of the run. ``missing_blocks``: how many more it needs for any intervals. ``of_a_fraction``: the
    run measured a fraction that predicts every set, so one that was not measured may be recommended.
    """
    run = _Run(layers, combinations, speeds, sooner, spoiling)
    if len(run.unspoilt) < 2:
        return None
    candidates = [*run.sound, *(unmeasured(combinations, speeds, spoiling) if of_a_fraction else ())]
    shown = ShownToHelp(candidates, speeds)
    by_speed = next((name for name in ranked(candidates, speeds) if shown.every_layer(name)), BASELINE)
    by_time, is_sooner = soonest(list(run.arriving), run.sizes, by_speed, shown, speeds, sooner)
    choice = _Choice(run, by_time if by_time is not None and is_sooner else by_speed, by_speed)
    rivals = [found for name in candidates if (found := choice.rival(name)) is not None]
    left_out = [choice.left_out(layer, shown) for layer in layers if layer not in choice.chosen]
    missing = more_blocks(rivals, blocks, missing_blocks, shown, {*run.rated, *candidates})
    return Recommendation(
        layers=choice.chosen,
        basis="time to target" if choice.is_by_time else "speed",
        speedup=figure_of(speeds.ratio(choice.chosen)),
        episodes_per_min=figure_of(speeds.level(choice.chosen)),
        settled=missing == 0,
        more_blocks=missing,
        kept=tuple(map(choice.kept, choice.chosen)),
        left_out=tuple(left_out),
        undecided=tuple(found.layer for found in left_out if found.state in ("undecided", "unknown")),
        rivals=tuple(sorted(rivals, key=lambda rival: -rival.ratio.value)),
        by_speed=by_speed,
        by_time=None if by_time is None else ByTime(by_time, is_sooner, figure_of(sooner(by_time, by_speed))),
        fastest=choice.fastest_beside(),
        excluded=_excluded(combinations, choice.chosen),
    )


@dataclass(frozen=True)
class _Run:
    """What is known of a run's combinations."""

    layers: Layers
    combinations: Sequence[CombinationRow]
    speeds: Prediction
    sooner: Sooner
    spoiling: Layers

    @cached_property
    def rated(self) -> Mapping[Layers, CombinationRow]:
        """Those that have a figure and compute the same."""
        return {c.layers: c for c in self.combinations if c.is_rated}

    @cached_property
    def unspoilt(self) -> Mapping[Layers, CombinationRow]:
        """Those of the rated ones without a spoiling layer."""
        return {name: c for name, c in self.rated.items() if not set(name) & set(self.spoiling)}

    @cached_property
    def arriving(self) -> Mapping[Layers, CombinationRow]:
        """Those of the unspoilt ones whose time to the learning target is known from trials."""
        return {name: c for name, c in self.unspoilt.items() if c.has_own_time_to_target}

    @cached_property
    def sound(self) -> Mapping[Layers, CombinationRow]:
        """Those that may be recommended: where no time to target is known, none that is shown to learn otherwise."""
        if self.arriving:
            return self.unspoilt
        return {name: c for name, c in self.unspoilt.items() if c.learning.learning != "changed"} or self.unspoilt

    @cached_property
    def sizes(self) -> Mapping[Layers, float | None]:
        """Episodes per update of every combination."""
        return {c.layers: c.learning.episodes_per_update for c in self.combinations}


@dataclass(frozen=True)
class _Choice:
    """The chosen set, and how other sets compare with it."""

    run: _Run
    chosen: Layers
    by_speed: Layers

    @property
    def is_by_time(self) -> bool:
        """Whether the time to the learning target chose another set than the speed does."""
        return self.chosen != self.by_speed

    def _weighs_time(self, name: Layers) -> bool:
        """Whether a set is compared by time: where time chose, and the set learns otherwise than the chosen one."""
        sizes = self.run.sizes
        return self.is_by_time and name in self.run.sound and sizes[name] != sizes.get(self.chosen)

    def _merit(self, name: Layers) -> Estimate | None:
        """How many times as good as the chosen set another one is."""
        return (self.run.sooner if self._weighs_time(name) else self.run.speeds.ratio)(name, self.chosen)

    def rival(self, name: Layers) -> Rival | None:
        """The set, if it is another one and not shown to be worse."""
        merit = self._merit(name)
        if name == self.chosen or merit is None or merit.figure.shows_loss:
            return None
        return Rival(name, merit.figure, merit.log_se, merit.degrees)

    def kept(self, layer: str) -> SwitchedLayer:
        """What removing a layer of the set would do to the speed."""
        speeds = self.run.speeds
        return SwitchedLayer(layer, figure_of(speeds.ratio(speeds.rules.without(layer, self.chosen), self.chosen)))

    def left_out(self, layer: str, shown: ShownToHelp) -> LeftOut:
        """What adding a layer would do to the speed, and why it is not in the set."""
        run = self.run
        joined = run.speeds.rules.joined((layer,), self.chosen, run.layers)
        by_time, gain = self._weighs_time(joined), self._merit(joined)
        state: LeftOutState = "helps" if not by_time and shown.is_shown(gain) else _state(gain)
        if joined in run.rated.keys() - run.sound:
            state = "spoils"
        barred = _barred(layer, joined, run.combinations, run.spoiling)
        return LeftOut(layer, figure_of(run.speeds.ratio(joined, self.chosen)), barred or state, by_time)

    def fastest_beside(self) -> Fastest | None:
        """The set that is predicted to be fastest, if it is another one, and why it is not the recommended one."""
        run = self.run
        fastest = fastest_of([self.chosen, *run.rated], run.speeds)
        if fastest == self.chosen:
            return None
        spoilt, soon = [layer for layer in fastest if layer in run.spoiling], run.sooner(self.chosen, fastest)
        learning = run.rated[fastest].learning
        if spoilt:
            but = f"{' and '.join(spoilt)} changes what is learned from the same data"
        elif self.is_by_time and soon is not None and soon.figure.shows_gain:
            but = f"the recommended set reaches the learning target sooner ({times_within(soon.figure)})"
        elif learning.learning == "changed" and learning.time_to_target_s is None:
            but = "it learns differently, and no time to a target tells what that costs"
        else:
            but = "not all of its layers are shown to help"
        return Fastest(fastest, figure_of(run.speeds.ratio(fastest, self.chosen)), but)


def _state(found: Estimate | None) -> LeftOutState:
    """What is known of a layer that is left out, by how good the set would be with it."""
    if found is None or found.interval is None:
        return "unknown"
    if found.interval[1] < 1:
        return "costs"
    return "negligible" if found.interval[1] <= 1 + INDIFFERENT else "undecided"


def _barred(
    layer: str, joined: Layers, combinations: Sequence[CombinationRow], spoiling: Layers
) -> LeftOutState | None:
    """Why a layer cannot join the set, however fast it is; None where it can."""
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


def _excluded(combinations: Sequence[CombinationRow], chosen: Layers) -> str | None:
    """The fastest combination that could have been recommended, had its trials not failed; in words.

    Never the baseline: where one of its many trials fails, nothing is lost.
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

"""Does a combination compute what the one without layers does? By the losses that the trainer tells. Pure.

Trials of a block share their seed, so the losses of their first updates must be those of the block's baseline, but for
rounding and for what the layers declare. Rounding alone may now and then flip a draw and part two trials for good, a
fault parts them in nearly every block; so a combination has changed when most of its blocks part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.description import Description
from m2bench.records.results import NumericsCheck, TrialResult
from m2bench.records.trials import RunRecord, StoredTrial
from m2bench.statistics.first_updates import FIRST_UPDATES, first_difference, size

from .responses import group_by_layers

CHECK = "losses"
ROUNDING = 3e-5  # of a loss: several times what rounding makes of the first six of small trainers (decision 023)
ROUNDING_OF_TERMS = 3e-7  # the same of a loss whose terms, of a size of about one, nearly cancel
ALMOST_NOTHING = 10 * ROUNDING_OF_TERMS
"""So small a loss may be what rounding leaves of such terms (a policy's before its first update, say)."""

BySeed = Mapping[int, list[TrialResult]]
Pair = tuple[list[TrialResult], TrialResult]
"""The baselines with a seed, and a trial with it."""


@dataclass(frozen=True)
class Parted:
    """The update, from 1, in which two trials with one seed part, and what is said of it."""

    update: int
    said: str


def with_losses_compared(record: RunRecord, trials: list[StoredTrial]) -> list[StoredTrial]:
    """The trials, and where the system tells losses with one check more in each: whether they are the baseline's."""
    told = [trial for trial in trials if trial.spec.kind == "speed" and trial.result is not None]
    if not any(trial.timed.losses for trial in told):
        return trials
    checks = _checks(record.description, told)
    return [_with_check(trial, checks[trial.spec.layers]) if trial in told else trial for trial in trials]


def _with_check(trial: StoredTrial, check: NumericsCheck) -> StoredTrial:
    return replace(trial, result=replace(trial.timed, numerics={**trial.timed.numerics, CHECK: check}))


def _checks(description: Description, trials: list[StoredTrial]) -> dict[Layers, NumericsCheck]:
    """What is found of each combination, the smallest first, so that a larger one can name the layer behind it."""
    baselines: dict[int, list[TrialResult]] = {}
    for trial in trials:
        if trial.spec.layers == BASELINE and trial.timed.losses:
            baselines.setdefault(trial.spec.seed, []).append(trial.timed)
    unsure = _does_not_repeat(baselines)
    found: dict[Layers, NumericsCheck] = {}
    for layers, own in sorted(group_by_layers(trials).items(), key=lambda item: len(item[0])):
        if layers == BASELINE or unsure:
            found[layers] = NumericsCheck(None if unsure else True, reason=unsure)
        else:
            pairs = [(baselines[t.spec.seed], t.timed) for t in own if t.spec.seed in baselines]
            check = _compare(pairs, tolerance_of(description, layers), description.system.unit.many)
            found[layers] = replace(check, reason=check.reason and check.reason + _as_with(layers, found, check))
    return found


def tolerance_of(description: Description, layers: Layers) -> float:
    """By how much a combination's losses may differ beside rounding, as a share of them: what its layers declare."""
    declared = [described.loss_tolerance for name in layers if (described := description.layer(name)) is not None]
    return sum(tolerance for tolerance in declared if tolerance is not None)


def _does_not_repeat(baselines: BySeed) -> str | None:
    """Why nothing can be held against the baseline: it differs from itself with equal seeds."""
    for first, *others in baselines.values():
        for other in others:
            parted = _parted(first, other, 0.0)
            if parted is not None:
                return f"the baseline does not repeat itself with equal seeds: {parted.said}"
    return None


def _compare(pairs: Sequence[Pair], tolerance: float, units: str) -> NumericsCheck:
    """A combination's trials held against the baselines of the same seed, of which the first speaks for all."""
    told = [(bases, found) for bases, found in pairs if found.losses]
    if not told:
        because = "it tells no loss" if pairs else "no trial of the baseline with its seed tells a loss"
        return NumericsCheck(None, reason=because)
    for (base, *_), found in told:
        before, after = base.update_units[:1], found.update_units[:1]
        if before != after:
            sizes = f"its first update processes {after[0]:g} {units}, the baseline's {before[0]:g}"
            return NumericsCheck(None, reason=f"{sizes}: losses of other data are not compared")
        if not any(loss is not None for loss in base.losses[:FIRST_UPDATES]):
            return NumericsCheck(None, reason=f"none of the first {FIRST_UPDATES} updates tells a loss")
        if size(base.losses) < ALMOST_NOTHING:
            return NumericsCheck(None, reason="the first losses are as small as rounding errors")
    evidence = {"updates": min(len(found.losses[:FIRST_UPDATES]) for _, found in told), "allowed": tolerance}
    parted = [p for bases, found in told if (p := _parted(bases[0], found, tolerance)) is not None]
    if not parted:
        return NumericsCheck(True, evidence)
    said = min(parted, key=lambda one: one.update).said
    if 2 * len(parted) <= len(told):
        return NumericsCheck(None, evidence, f"in {len(parted)} of {len(told)} blocks {said}")
    if all(len(bases) < 2 for bases, _ in told):
        once = "the baseline ran once with each seed, so whether it repeats itself is not known"
        return NumericsCheck(None, evidence, f"{said}; {once}")
    return NumericsCheck(False, evidence, said)


def _parted(base: TrialResult, found: TrialResult, tolerance: float) -> Parted | None:
    """Where a trial differs from the baseline in its losses, or before that in the units that its updates process."""
    allowed = (ROUNDING + tolerance) * size(base.losses) + ROUNDING_OF_TERMS
    update = first_difference(base.losses, found.losses, allowed)
    resized = first_difference(base.update_units, found.update_units, 0.0)
    if resized is not None and (update is None or resized < update):
        sizes = f"{found.update_units[resized - 1]:g} against {base.update_units[resized - 1]:g}"
        return Parted(resized, f"update {resized} processes {sizes}")
    if update is None:
        return None
    before, after = base.losses[update - 1], found.losses[update - 1]
    return Parted(update, f"update {update} has the loss {after:.6g} against {before:.6g}")


def _as_with(layers: Layers, found: Mapping[Layers, NumericsCheck], check: NumericsCheck) -> str:
    """The smallest combination of some of the layers that has changed as well."""
    if check.same is not False:
        return ""
    smaller = [name for name, other in found.items() if other.same is False and set(name) < set(layers)]
    return f" (changed with {combination_name(smaller[0])} already)" if smaller else ""

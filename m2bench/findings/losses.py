"""Whether a combination computes what the baseline computes, by the losses that the trainer reports. Pure.

Trials of a block share their seed, so the losses of their first updates must equal those of the block's baseline,
within rounding and what the layers declare. Rounding alone may now and then flip a draw, which parts two trials for
good. A fault parts them in nearly every block. So a combination has changed if most of its blocks part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.description import Description
from m2bench.records.results import NumericsCheck, TrialResult
from m2bench.statistics.first_updates import FIRST_UPDATES, first_difference, size
from m2bench.store.stored_trial import RunRecord, StoredTrial

from .responses import group_by_layers

CHECK = "losses"
LOSS_ROUNDING = 3e-5  # of a loss: several times what rounding makes of the first six of small trainers (decision 023)
ROUNDING_OF_TERMS = 3e-7  # the same of a loss whose terms, of a size of about one, nearly cancel
ALMOST_NOTHING = 10 * ROUNDING_OF_TERMS
"""A smaller loss may be nothing but rounding, as a policy's is before its first update."""

BaselinesBySeed = Mapping[int, list[TrialResult]]
MatchedTrial = tuple[list[TrialResult], TrialResult]
"""The baselines with a seed, and a trial with it."""


@dataclass(frozen=True)
class Parted:
    """The update, from 1, in which two trials with one seed part, and what is said of it."""

    update: int
    said: str


def with_losses_compared(record: RunRecord, trials: list[StoredTrial]) -> list[StoredTrial]:
    """The trials; if the system reports losses, each with one more check: whether they equal the baseline's."""
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
    """How far a combination's losses may differ beyond rounding, as a share of them: what its layers declare."""
    declared = [described.loss_tolerance for name in layers if (described := description.layer(name)) is not None]
    return sum(tolerance for tolerance in declared if tolerance is not None)


def _does_not_repeat(baselines: BaselinesBySeed) -> str | None:
    """Why nothing can be compared with the baseline: it does not repeat itself with equal seeds. None if it does."""
    for first, *others in baselines.values():
        for other in others:
            parted = _parted(first, other, 0.0)
            if parted is not None:
                return f"the baseline does not repeat itself with equal seeds: {parted.said}"
    return None


def _compare(pairs: Sequence[MatchedTrial], tolerance: float, units: str) -> NumericsCheck:
    """Compare a combination's trials with the baselines of the same seed; the first of these stands for all."""
    told = [(bases, found) for bases, found in pairs if found.losses]
    if not told:
        because = "it reports no loss" if pairs else "no trial of the baseline with its seed reports a loss"
        return NumericsCheck(None, reason=because)
    for (base, *_), found in told:
        before, after = base.update_units[:1], found.update_units[:1]
        if before != after:
            sizes = f"the first update processes {after[0]:g} {units} and the baseline's {before[0]:g}"
            return NumericsCheck(None, reason=f"{sizes}, so their losses are of different data")
        if not any(loss is not None for loss in base.losses[:FIRST_UPDATES]):
            return NumericsCheck(None, reason=f"none of the first {FIRST_UPDATES} updates reports a loss")
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
    allowed = (LOSS_ROUNDING + tolerance) * size(base.losses) + ROUNDING_OF_TERMS
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
    """That a smaller combination of these layers has changed already, in words; empty where none has."""
    if check.same is not False:
        return ""
    smaller = [name for name, other in found.items() if other.same is False and set(name) < set(layers)]
    return f" (changed with {combination_name(smaller[0])} already)" if smaller else ""

"""Whether two sides compute and learn the same, by trials that are run anyway. Pure.

A trial's own numerics checks compare it with the plain trainer of the same code, so they miss a fault that both share.
Comparing the sides finds it: with the same seed both play the same episodes from the same weights, so the returns of
their first updates must be equal. Rounding alone may now and then flip a draw, which parts two trials for good. A fault
parts them in nearly every pair. So a combination has changed if most of its pairs part within the first updates. If
these are equal to the last bit, both sides round alike, and all later updates must be equal as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.results import TrialResult
from m2bench.statistics.first_updates import FIRST_UPDATES, ToldByUpdates, first_difference, size

from .reasons import Aspect, Reason

TOLERANCE = 1e-4  # relative to the size of the returns: some hundred times float32's rounding


def failed_checks(combination: Layers, heads: Sequence[TrialResult], bases: Sequence[TrialResult] = ()) -> list[str]:
    """What the numerics checks of the head's trials of a combination found: the first fault of each check."""
    found, before = _faults(heads), _faults(bases)
    return [
        f"{combination_name(combination)}: the numerics check {name} fails: {why}"
        + (" (it fails on the base as well)" if name in before else "")
        for name, why in found.items()
    ]


def _faults(trials: Sequence[TrialResult]) -> dict[str, str]:
    found: dict[str, str] = {}
    for trial in trials:
        for name, check in trial.numerics.items():
            if check.same is False:
                found.setdefault(name, check.reason or "it gives no reason")
    return found


def checks_gone(combination: Layers, before: Iterable[str], heads: Sequence[TrialResult]) -> list[Reason]:
    """The numerics checks that the other side ran, and some of the head's trials did not."""
    gone = [name for name in dict.fromkeys(before) if any(name not in head.numerics for head in heads)]
    name = combination_name(combination)
    return [Reason((Aspect.AGREEMENT,), "numerics", f"{name}: the check {check} is no longer run") for check in gone]


def untold(combination: Layers, pairs: Sequence[tuple[TrialResult, TrialResult]]) -> list[Reason]:
    """Why the learning of a combination cannot be compared: the base reports its returns or losses, the head does not.

    ``pairs``: both sides' trials, each pair with one seed.
    """
    measure = _measure(pairs)
    for base, head in pairs:
        told, updates = len(_told(head, measure)), len(head.update_s)
        if told < updates and _told(base, measure):
            text = f"the head reports the {measure} of only {told} of its {updates} updates"
            return [Reason((Aspect.AGREEMENT,), "learning", f"{combination_name(combination)}: {text}")]
    return []


def _measure(pairs: Sequence[tuple[TrialResult, TrialResult]]) -> str:
    """What the base reports of each update's learning: the return, else the loss."""
    return "training return" if any(base.training_return for base, _ in pairs) else "loss"


def _told(trial: TrialResult, measure: str) -> ToldByUpdates:
    return trial.losses if measure == "loss" else trial.training_return


def first_parted(before: ToldByUpdates, after: ToldByUpdates) -> int | None:
    """The first update, from 1, whose training returns differ by more than rounding; None if none does.

    Later ones than FIRST_UPDATES count where these do not differ at all.
    """
    rounds_alike = [*before[:FIRST_UPDATES]] == [*after[:FIRST_UPDATES]]
    allowed = TOLERANCE * size(before, after)
    return first_difference(before, after, allowed, len(before) if rounds_alike else FIRST_UPDATES)


def learning_change(combination: Layers, pairs: Sequence[tuple[TrialResult, TrialResult]]) -> str | None:
    """How a combination learns differently than before, in words; None for one that learns the same.

    ``pairs``: both sides' trials, each pair with one seed.
    """
    measure = _measure(pairs)
    both = [(_told(a, measure), _told(b, measure)) for a, b in pairs]
    returns = [(old, new) for old, new in both if old and new]
    parted = [(update, pair) for pair in returns if (update := first_parted(*pair)) is not None]
    if 2 * len(parted) <= len(returns):
        return None
    update, (old, new) = min(parted, key=lambda found: found[0])
    return (
        f"{combination_name(combination)}: with equal seeds, the {measure} differs from update {update} on "
        f"({old[update - 1]:.6g} -> {new[update - 1]:.6g}), in {len(parted)} of {len(returns)} pairs"
    )

"""Do two sides compute and learn the same? From trials that were run anyway. Pure.

Each trial's own gates compare it with the plain trainer of the same code, so a fault in what both share is not seen by
them. The other side sees it: with the same seed both play the same episodes from the same weights, so the returns of
their first updates must be equal. Rounding alone may flip a draw now and then and part two runs for good; a fault parts
them in nearly every pair. So a combination has changed when most of its pairs part within the first updates. Where
these are equal to the last bit, both sides round alike, and all later updates must be equal as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.results import TrialResult

FIRST_UPDATES = 6  # later ones have had more chances to part by rounding, where there is any
TOLERANCE = 1e-4  # relative to the size of the returns: some hundred times float32's rounding


def broken_gates(combination: Layers, heads: Sequence[TrialResult], bases: Sequence[TrialResult] = ()) -> list[str]:
    """What the numerics gates of the head's trials of a combination found: the first finding of each gate."""
    found, before = _findings(heads), _findings(bases)
    return [
        f"{combination_name(combination)}: the numerics gate {name} finds: {why}"
        + (" (it finds fault with the base as well)" if name in before else "")
        for name, why in found.items()
    ]


def _findings(results: Sequence[TrialResult]) -> dict[str, str]:
    found: dict[str, str] = {}
    for result in results:
        for name, check in result.numerics.items():
            if not check.same:
                found.setdefault(name, check.reason or "")
    return found


def gates_gone(combination: Layers, before: Iterable[str], heads: Sequence[TrialResult]) -> list[str]:
    """The numerics gates that the other side's trials were put through, and some of the head's were not."""
    gone = {gate: None for gate in before if any(gate not in head.numerics for head in heads)}
    return [f"numerics: {combination_name(combination)}: the gate {gate} is not run any more" for gate in gone]


def untold(combination: Layers, pairs: Sequence[tuple[TrialResult, TrialResult]]) -> list[str]:
    """Why the learning of a combination cannot be compared: the base tells its training returns, and the head does not.

    ``pairs``: both sides' trials, each pair with one seed.
    """
    for base, head in pairs:
        told, updates = len(head.training_return), len(head.update_s)
        if told < updates and base.training_return:
            name = combination_name(combination)
            return [f"learning: {name}: the head tells the training return of {told} of {updates} updates or more"]
    return []


def first_difference(before: Sequence[float], after: Sequence[float]) -> int | None:
    """The first update, from 1, whose training returns differ by more than rounding; None if none does.

    Later ones than FIRST_UPDATES count where these do not differ at all.
    """
    pairs = list(zip(before, after, strict=False))
    size = fmean(abs(value) for pair in pairs[:FIRST_UPDATES] for value in pair) if pairs else 0.0
    rounds_alike = all(old == new for old, new in pairs[:FIRST_UPDATES])
    for number, (old, new) in enumerate(pairs if rounds_alike else pairs[:FIRST_UPDATES], 1):
        if not abs(old - new) <= TOLERANCE * size:  # also catches what is not a number
            return number
    return None


def learning_change(combination: Layers, pairs: Sequence[tuple[TrialResult, TrialResult]]) -> str | None:
    """What is said of a combination that learns something else than it did; None for one that learns the same.

    ``pairs``: both sides' trials, each pair with one seed.
    """
    returns = [(a.training_return, b.training_return) for a, b in pairs if a.training_return and b.training_return]
    parted = [(update, pair) for pair in returns if (update := first_difference(*pair)) is not None]
    if 2 * len(parted) <= len(returns):
        return None
    update, (old, new) = min(parted, key=lambda found: found[0])
    return (
        f"{combination_name(combination)}: with equal seeds, the training return differs from update {update} on "
        f"({old[update - 1]:.6g} -> {new[update - 1]:.6g}), in {len(parted)} of {len(returns)} pairs"
    )

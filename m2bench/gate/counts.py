"""The noise-free channel: what a unit of work asks of its device, compared exactly. Pure.

Counts depend on the code, the version of torch and the device, not on the machine's noise: one more than before is a
regression, one less an improvement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Unit
from m2bench.records.results import TrialResult

from .reasons import Aspect, Reason

# Evidence of a layer that compiles: more graphs, and more regions in a call, are graph breaks.
FROM_EVIDENCE = {"graphs": "compiled graphs", "compiled_regions_per_call": "compiled regions per call",
                 "recompiles": "recompiles"}  # fmt: skip
DIGITS = 6  # of a count per episode that mean something: the rest is division
LINES_NAMED = 3

CountsByName = Mapping[str, float]
"""By name: per episode, or as a compiler tells them."""
LinesByCount = Mapping[str, Mapping[str, float]]
"""By the name of a count: how much of it each source line accounts for."""


@dataclass(frozen=True)
class CountChange:
    """A count that is not what it was; ``lines``: source lines that it came from or went from."""

    combination: Layers
    name: str
    before: float
    after: float
    lines: tuple[str, ...] = ()

    def sentence(self, unit: Unit) -> str:
        """The change in words."""
        change = self.after - self.before
        per_unit = "" if self.name in FROM_EVIDENCE.values() else f" per {unit.one}"
        where = f": {'; '.join(self.lines)}" if self.lines else ""
        return (
            f"{combination_name(self.combination)}: {abs(change):,.6g} {'more' if change > 0 else 'fewer'} "
            f"{self.name}{per_unit} ({self.before:,.6g} -> {self.after:,.6g}){where}"
        )


def repeated_counts(trials: Sequence[TrialResult]) -> CountsByName:
    """Counts that are the same in all of one side's trials of a combination; one that varies is left out."""
    found: dict[str, set[float]] = {}
    for trial in trials:
        for name, value in counts_of(trial).items():
            found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def counts_of(trial: TrialResult) -> CountsByName:
    """All that was counted in one trial."""
    counts = {} if trial.counts is None else {**trial.counts.per_episode}
    for proof in trial.proofs.values():
        counts |= {name: proof.evidence[key] for key, name in FROM_EVIDENCE.items() if key in proof.evidence}
    return {name: round(value, DIGITS) for name, value in counts.items()}


def compare_counts(
    combination: Layers,
    pairs: Sequence[tuple[CountsByName, CountsByName]],
    lines: tuple[LinesByCount, LinesByCount] = ({}, {}),
) -> tuple[list[CountChange], list[Reason]]:
    """What differs among the counts of both sides, and why one cannot be compared.

    A count has changed when it differs in most pairs, and in all of these in one direction: what the code does may
    depend on the seed.
    ``pairs``: counts before and after, of trials that share their seed, since it may change what is done. ``lines``: of
    both sides.
    """
    changes, unclear = [], []
    names = {name: None for before, _ in pairs for name in before}
    for name in names:
        found = [(before.get(name), after.get(name)) for before, after in pairs]
        known = [(old, new) for old, new in found if old is not None and new is not None]
        if len(known) < len(found):
            unclear.append(_unclear(combination, f"{name} is no longer counted on both sides"))
            continue
        other = [(old, new) for old, new in known if new != old]
        in_one_direction = all(new > old for old, new in other) or all(new < old for old, new in other)
        if in_one_direction and 2 * len(other) > len(known):
            where = _changed_lines(lines[0].get(name), lines[1].get(name))
            changes.append(CountChange(combination, name, *other[0], where))
        elif other:
            unclear.append(_unclear(combination, f"{name} differs in some trials and not in others"))
    return changes, unclear


def _unclear(combination: Layers, why: str) -> Reason:
    return Reason((Aspect.COUNTS,), "counts", f"{combination_name(combination)}: {why}")


def counted_lines(trials: Sequence[TrialResult]) -> LinesByCount:
    """Source lines behind the counts of one side's trials of a combination."""
    return trials[0].counts.lines if trials and trials[0].counts else {}


def _changed_lines(before: Mapping[str, float] | None, after: Mapping[str, float] | None) -> tuple[str, ...]:
    """Lines whose count differs, the largest difference first. A line that has only moved is the same line."""
    if before is None or after is None:
        return ()
    old, new = _by_text(before), _by_text(after)
    changes = {text: new.get(text, (0.0, ""))[0] - old.get(text, (0.0, ""))[0] for text in {*old, *new}}
    texts = sorted(
        (text for text, change in changes.items() if round(change, DIGITS)), key=lambda t: (-abs(changes[t]), t)
    )
    return tuple(new[text][1] if text in new else f"{old[text][1]} (gone)" for text in texts[:LINES_NAMED])


def _by_text(lines: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """By file and text without the line's number: its count, and the line as it was."""
    found: dict[str, tuple[float, str]] = {}
    for line, count in lines.items():
        text = re.sub(r":\d+ ", " ", line, count=1)
        found[text] = (found.get(text, (0.0, ""))[0] + count, line)
    return found

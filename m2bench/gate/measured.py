"""What the gate reads of a trial. The code under test may be of any version, and leave out what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from m2bench.records.combinations import Layers
from m2bench.statistics.steady import steady_episodes_per_min

# Evidence of a layer that compiles: more graphs, and more regions in a call, are graph breaks.
FROM_EVIDENCE = {"graphs": "compiled graphs", "compiled_regions_per_call": "compiled regions per call",
                 "recompiles": "recompiles"}  # fmt: skip
DIGITS = 6  # of a count per episode that mean something: the rest is division

Counts = dict[str, float]
"""By name: per episode, or as a compiler tells them."""
Lines = dict[str, dict[str, float]]
"""By the name of a count: how much of it each source line accounts for."""


@dataclass(frozen=True)
class Measured:
    """One trial. Empty where it tells nothing.

    ``turn_updates``: updates of each turn, of a trial that was timed by turns. ``faults``: by numerics check, what is
    wrong, or None. ``idle``: by layer, why it was not at work.
    """

    update_s: list[float]
    episodes_per_update: float
    canary_s: list[float] = field(default_factory=list)
    turn_updates: list[int] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)
    lines: Lines = field(default_factory=dict)
    faults: dict[str, str | None] = field(default_factory=dict)
    idle: dict[str, str] = field(default_factory=dict)
    training_return: list[float] = field(default_factory=list)
    phase_ms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, result: Mapping[str, Any]) -> Measured:
        """Read a worker's result."""
        counts, proofs = result.get("counts", {}), result.get("proofs", {})
        return cls(
            update_s=result["update_s"],
            episodes_per_update=result["episodes_per_update"],
            canary_s=result.get("canary_s", []),
            turn_updates=result.get("turn_updates") or [],
            counts=_counts(counts.get("per_episode", {}), [proof["evidence"] for proof in proofs.values()]),
            lines=counts.get("lines", {}),
            faults={
                name: None if found["same"] else found["reason"] for name, found in result.get("gates", {}).items()
            },
            idle={layer: proof["reason"] for layer, proof in proofs.items() if not proof["engaged"]},
            training_return=result.get("training_return") or [],
            phase_ms=result.get("phase_ms_per_episode") or {},
        )

    @property
    def episodes_per_min(self) -> float:
        """From the first steady update on."""
        return steady_episodes_per_min(self.update_s, self.episodes_per_update)

    @property
    def episodes_per_s_of_window(self) -> float:
        """Of the whole window, with nothing left out."""
        return len(self.update_s) * self.episodes_per_update / sum(self.update_s)

    @property
    def turn_speeds(self) -> list[float]:
        """Episodes per minute of each turn; one for a trial that was timed at once."""
        ends = accumulate(self.turn_updates or [len(self.update_s)])
        return [
            60 * (end - begin) * self.episodes_per_update / sum(self.update_s[begin:end])
            for begin, end in pairwise([0, *ends])
        ]


Block = dict[tuple[str, Layers], Measured]
"""What the trials of one block measured, by side and combination."""


def _counts(per_episode: Mapping[str, float], evidence: list[Mapping[str, float]]) -> Counts:
    counts = {**per_episode}
    for found in evidence:
        counts |= {name: found[key] for key, name in FROM_EVIDENCE.items() if key in found}
    return {name: round(value, DIGITS) for name, value in counts.items()}

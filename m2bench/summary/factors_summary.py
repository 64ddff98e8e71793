"""What a run of ``ablate --factors`` found (docs/factors-summary.schema.json)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m2bench.records.combinations import Layers
from m2bench.records.factors_spec import Response
from m2bench.records.figure import Figure

from .subject import RunSummary

Finding = Literal["better", "worse", "not shown"]
ClaimVerdict = Literal["confirmed", "refuted", "mixed", "not shown"]


@dataclass(frozen=True)
class Steadiness:
    """How steadily one combination learns, or several on average, against another: with a factor against without it.

    ``setbacks``: the difference of the shares. ``spread``: the standard deviation over the seeds of the logarithm of
    the episodes to the target, as a ratio.
    """

    setbacks: Figure | None
    spread: Figure | None

    @property
    def on_the_way(self) -> Finding:
        """Whether less of the return's movement is shown to go downwards."""
        return _found(self.setbacks, none=0.0)

    @property
    def between_seeds(self) -> Finding:
        """Whether seeds are shown to lie closer together."""
        return _found(self.spread, none=1.0)


def _found(figure: Figure | None, none: float) -> Finding:
    """What an interval shows of a figure of which less is better, and ``none`` is no effect."""
    if figure is None or figure.interval is None:
        return "not shown"
    low, high = figure.interval
    return "better" if high < none else "worse" if low > none else "not shown"


@dataclass(frozen=True)
class WayOfLearning:
    """One combination of factors and crossed layers, over its seeds.

    ``arrived``: of how many ``trials`` the target was reached. The figures are None where one did not: what did not
    arrive is not left out. ``setbacks``: the share of the return's movement that is downwards. ``spread``: the factor
    by which the episodes of a typical seed are off. ``seconds_over_plain``, ``episodes_over_plain`` and
    ``steadiness_over_plain``: compared with the combination that has nothing, seed by seed.
    """

    factors: Layers
    trials: int
    arrived: int
    seconds: Figure | None
    episodes: Figure | None
    setbacks: Figure | None
    spread: Figure | None
    seconds_over_plain: Figure | None
    episodes_over_plain: Figure | None
    steadiness_over_plain: Steadiness
    reason: str | None


@dataclass(frozen=True)
class FactorEffect:
    """What a factor does, as ratios of with it to without it: less than 1 is sooner.

    ``alone``: added to none; ``mean``: over all combinations of the others. ``verdict``: on the claim, by the means:
    of the seconds, or of both measures of steadiness; what one of these shows, and the other does not contradict, is
    shown.
    """

    name: str
    claim: str
    claims: Response
    seconds_alone: Figure | None
    seconds_mean: Figure | None
    episodes_alone: Figure | None
    episodes_mean: Figure | None
    steadiness_alone: Steadiness
    steadiness_mean: Steadiness
    verdict: ClaimVerdict

    @property
    def is_sooner(self) -> Finding:
        """Whether it is shown to take fewer seconds, on average over the others."""
        return _found(self.seconds_mean, none=1.0)


def judge_claim(*findings: Finding) -> ClaimVerdict:
    """The verdict on a claim from all that it is judged by."""
    better, worse = "better" in findings, "worse" in findings
    return "mixed" if better and worse else "confirmed" if better else "refuted" if worse else "not shown"


@dataclass(frozen=True)
class LayerWorth:
    """What a crossed layer does to one way of learning, or to all on average: ratios of with it to without it.

    They are means over all combinations of the other crossed layers. ``pace``: of the seconds per episode, which is
    what the layer does to speed; ``seconds`` to the target are ``pace`` times ``episodes``.
    """

    layer: str
    way: Layers | None
    pace: Figure | None
    episodes: Figure | None
    seconds: Figure | None

    @property
    def for_speed(self) -> Finding:
        """Whether it is shown to take fewer seconds per episode."""
        return _found(self.pace, none=1.0)

    @property
    def to_target(self) -> Finding:
        """Whether it is shown to take fewer seconds to the target."""
        return _found(self.seconds, none=1.0)


@dataclass(frozen=True)
class Soonest:
    """The combination that takes the least, and the ``rivals`` that are not shown to take more."""

    factors: Layers
    rivals: tuple[Layers, ...]


@dataclass(frozen=True)
class FactorsSummary(RunSummary):
    """``layers`` are on in every trial, ``crossed`` in half of them."""

    layers: Layers
    crossed: Layers
    seeds: int
    device_faults: tuple[str, ...]
    warnings: tuple[str, ...]
    ways: tuple[WayOfLearning, ...]
    effects: tuple[FactorEffect, ...]
    worth: tuple[LayerWorth, ...]
    soonest_by_seconds: Soonest | None
    soonest_by_episodes: Soonest | None

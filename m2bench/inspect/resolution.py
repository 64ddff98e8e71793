"""How small an effect a run can detect on a machine whose trials scatter so much. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import fmean

from m2bench.options.run_options import DEFAULT_BLOCKS
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import MOST_IN_FULL, make_trials
from m2bench.records.figure import Figure
from m2bench.statistics.distributions import chi_square_quantile, t_quantile
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate
from m2bench.statistics.factorial import Observation
from m2bench.text.repeats import drift_in_words

EFFECTS = (0.02, 0.05, 0.10)


@dataclass(frozen=True)
class DesignErrors:
    """Standard errors of effects, on the log scale, in standard deviations of one trial; those of the worst layer.

    ``layers``: how many there are. ``standard_errors``: how many of them an effect must have to be found at 5 % in
    80 % of runs.
    """

    layers: int
    main_effect: float
    shapley: float
    alone: float
    standard_errors: float

    @classmethod
    def of_full_design(cls, layers: tuple[str, ...]) -> DesignErrors:
        """Of every combination of the layers in DEFAULT_BLOCKS blocks, fitted as a run's report fits them.

        Of the first layers where all have more combinations than a run takes. They depend on the design alone, so any
        responses serve to ask for them.
        """
        layers = layers[: MOST_IN_FULL.bit_length() - 1]
        trials = make_trials(RunSpec(layers, ("full",), DEFAULT_BLOCKS, 0))
        any_response = random.Random(0)
        effects = Effects(
            layers, (Observation(x.key, x.layers, x.mini_blocks, any_response.uniform(1, 2)) for x in trials)
        )
        assert effects.scatter is not None
        sigma, degrees = effects.scatter.sd, effects.scatter.degrees

        def worst(estimates: list[Estimate | None]) -> float:
            return max(found.log_se or 0.0 for found in estimates if found is not None) / sigma

        return cls(
            len(layers),
            worst([effects.main_effect(layer) for layer in layers]),
            worst([effects.shapley(layer)[0] for layer in layers]),
            worst([effects.ratio((layer,)) for layer in layers]),
            t_quantile(0.975, degrees) + t_quantile(0.8, degrees),
        )


@dataclass(frozen=True)
class Resolution:
    """What a run can detect on a machine whose trials scatter by ``trial_sd`` (of log episodes/min)."""

    trial_sd: float
    trials: int

    @classmethod
    def from_speeds(cls, speeds: list[float]) -> Resolution:
        """From identical trials one after the other; a drift from trial to trial is not their scatter.

        Half the mean squared difference of neighbours (von Neumann et al., "The mean square successive difference",
        1941).
        """
        logs = [math.log(speed) for speed in speeds]
        return cls(math.sqrt(fmean((b - a) ** 2 for a, b in pairwise(logs)) / 2), len(speeds))

    def interval(self) -> tuple[Resolution, Resolution]:
        """The 95 % interval of the scatter of a trial: its lower and its upper end.

        The estimate from n trials is taken to follow a chi-square distribution with 2 (n - 1)^2 / (3 n - 4) degrees of
        freedom, which has the variance that von Neumann et al. give for it.
        """
        degrees = 2 * (self.trials - 1) ** 2 / (3 * self.trials - 4)
        low, high = (self.trial_sd * math.sqrt(degrees / chi_square_quantile(end, degrees)) for end in (0.975, 0.025))
        return replace(self, trial_sd=low), replace(self, trial_sd=high)

    def smallest_main_effect(self, design: DesignErrors) -> float:
        """The smallest main effect, as a ratio above 1, that such a design finds in 80 % of runs."""
        return math.exp(design.standard_errors * design.main_effect * self.trial_sd)

    def smallest_shapley(self, design: DesignErrors) -> float:
        """The smallest Shapley value, as a ratio above 1, that such a design finds in 80 % of runs."""
        return math.exp(design.standard_errors * design.shapley * self.trial_sd)

    def blocks_for(self, effect: float, design: DesignErrors) -> int:
        """Blocks after which one layer alone is told from the baseline, if it changes the speed by this share.

        Errors shrink with the square root of the number of blocks.
        """
        needed = design.standard_errors * design.alone * self.trial_sd / math.log1p(effect)
        return max(2, math.ceil(DEFAULT_BLOCKS * needed**2))


@dataclass(frozen=True)
class Resolved:
    """What a run can detect, with intervals, since a few trials show their scatter only roughly.

    ``trial_sd``: the scatter of one trial. ``layers``: how many the run has, in all combinations.
    ``smallest_main_effect``, ``smallest_shapley``: ratios above 1 that it finds. ``blocks_for``: by effect, the
    blocks that it takes to find it.
    """

    trial_sd: Figure
    layers: int
    smallest_main_effect: Figure
    smallest_shapley: Figure
    blocks_for: Mapping[str, Figure]

    @classmethod
    def by(cls, resolution: Resolution, design: DesignErrors) -> Resolved:
        """What follows from the scatter of the trials for such a design."""
        low, high = resolution.interval()

        def figure(of: Callable[[Resolution], float]) -> Figure:
            return Figure(of(resolution), (of(low), of(high)))

        return cls(
            figure(lambda found: found.trial_sd),
            design.layers,
            figure(lambda found: found.smallest_main_effect(design)),
            figure(lambda found: found.smallest_shapley(design)),
            {f"{x:.0%}": figure(partial(Resolution.blocks_for, effect=x, design=design)) for x in EFFECTS},
        )


def resolution_sentences(trials: int, found: Resolved, drift: Figure) -> list[str]:
    """What a run can detect here, in words that claim no more than is known of the scatter."""
    return [
        f"{trials} trials of the baseline, timed as long as a run's, scatter by {_between(found.trial_sd)} "
        f"(standard deviation, and its 95 % interval). Over these trials {drift_in_words(drift)}.",
        f"A run of all combinations of {found.layers} layers, with {DEFAULT_BLOCKS} blocks, finds main effects from "
        f"{_between(found.smallest_main_effect, 1)} on and Shapley values from {_between(found.smallest_shapley, 1)} "
        "on, in 80 % of runs.",
        *(
            f"Can it detect one layer alone that changes the speed by {effect}? {_verdict(blocks)}."
            for effect, blocks in found.blocks_for.items()
        ),
    ]


def _between(share: Figure, none: int = 0) -> str:
    """A share with the ends of its interval; ``none`` is what stands for no effect."""
    assert share.interval is not None
    low, high = (f"{end - none:.1%}" for end in share.interval)
    return f"{share.value - none:.1%} (between {low} and {high})"


def _verdict(blocks: Figure) -> str:
    """Whether a run detects it, or with how many blocks, at the scatter and at the ends of its interval."""
    assert blocks.interval is not None
    least, most = blocks.interval
    if most <= DEFAULT_BLOCKS:
        return "Yes"
    if blocks.value <= DEFAULT_BLOCKS:
        return f"Probably; at the upper end of the scatter's interval, with --blocks {most}"
    return f"With --blocks {blocks.value} (between {least} and {most})"

"""What a run found: the types that are written as ``summary.json`` (docs/summary.schema.json).

A figure that was not measured is None, never invented. Ratios are multiplicative: 1 is no effect. Times are in the unit
that the name says, shares are fractions of 1, intervals are 95 %. Unless it says otherwise, a figure of a combination
is typical of its trials (geometric mean), and one of a layer is a ratio of episodes/min.

``episodes_per_min`` are units per minute, whatever the system counts in. Of a command's own metric (``is_metric`` of
the system's ``rate``) it is the value, or the inverse of one of which less is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from .combinations import Layers
from .description import Facts, System, Target, Unit
from .documents import FLAT, called, interval_called
from .figure import Figure, Interval
from .results import Evidence
from .spec import TrialKind

Sameness = Literal["same", "changed", "undecided", "not told"]
LeftOutState = Literal[
    "costs", "negligible", "undecided", "unknown", "helps", "spoils", "changed", "failed", "not-engaged", "unsupported"
]
Judgement = Literal["confirmed", "exceeded", "short", "refuted", "inconclusive", "unsupported"]


# Noise.


@dataclass(frozen=True)
class Repeats:
    """What identical trials of the baseline say of the machine; as ratios, which ought to be 1."""

    aa_ratio: Figure | None = field(default=None, metadata=interval_called("aa_ci"))
    """One half of the baseline trials over the other half."""
    aa_pairs: int = 0
    aa_typical: float | None = None
    """The slower over the faster of two neighbouring trials, inverted: the median."""
    aa_worst: float | None = None
    drift: Figure | None = None
    """The last baseline trial over the first, by a line through all."""


@dataclass(frozen=True)
class Anchor:
    """One baseline trial that is ok; ``trial`` is its number among the run's speed trials."""

    key: str
    trial: int
    episodes_per_min: float


@dataclass(frozen=True)
class RunConditions:
    """What the machine did besides the trials, and the warnings that follow.

    ``other_cores``: cores that other processes kept busy, as the median over trials. ``canary_spread``: the time of a
    fixed computation at slow times over that at fast ones (95th and 5th percentile). ``canary_related``: whether trials
    are shown to be slower at its slow times.
    """

    other_cores: float | None
    other_cores_worst: float | None
    busy_trials: int
    canary_spread: float | None
    canary_related: bool
    power: tuple[str, ...]
    low_power: bool
    thermal: tuple[str, ...]
    repeated_trials: int = 0
    """Run once more because of other load; both attempts are stored."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timing:
    """How well the timed windows are timed."""

    window_error: float | None
    """Relative standard error of a window's mean, the median over trials."""
    window_error_worst: float | None
    timer_share_worst: float | None
    """Of an update."""


@dataclass(frozen=True)
class ScatterGroup:
    """Trials that scatter alike, by the layers that are on and off in them; ``sd`` is of log episodes/min."""

    on: Layers
    off: Layers
    sd: float
    degrees: float


@dataclass(frozen=True)
class Noise:
    """How noisy the run is, and what that hides."""

    repeats: Repeats = field(metadata=FLAT)
    anchors: tuple[Anchor, ...]
    conditions: RunConditions
    timing: Timing = field(metadata=FLAT)
    trial_sd: float | None
    """Standard deviation of one trial, as a share of its speed."""
    scatter_groups: tuple[ScatterGroup, ...]
    min_detectable: float | None
    """The smallest main effect, as a ratio above 1, that such a run finds in 80 % of cases."""
    outliers: tuple[str, ...]
    """Keys of trials."""
    lack_of_fit_p: float | None
    """Of the test that interactions of three and more layers are nothing."""


# Combinations.


@dataclass(frozen=True)
class TrialBehind:
    """A trial behind a combination's figures."""

    key: str
    status: str
    started: str
    episodes_per_min: float | None


@dataclass(frozen=True)
class Usage:
    """What a combination asks of its machine. Counts are medians over trials."""

    dispatches_per_episode: float | None = None
    kernels_per_episode: float | None = None
    syncs_per_episode: float | None = None
    copies_per_episode: float | None = None
    doubles_per_episode: float | None = None
    flops_per_episode: float | None = None
    mfu: Figure | None = None
    """Matrix-product operations per second as a share of the measured peak."""
    utilization: Figure | None = None
    """Share of the timed window in which the device computes; on the CPU, of all cores, what the trial itself uses."""
    telemetry: Mapping[str, float | None] = field(default_factory=dict)
    telemetry_not_available: Mapping[str, str] = field(default_factory=dict)
    phase_ms_per_episode: Mapping[str, Figure] | None = None
    phases_sum_ms: Figure | None = None


@dataclass(frozen=True)
class Numerics:
    """Whether a combination computes what the plain trainer computes, with the evidence of every trial by check."""

    numerics: Literal["same", "changed", "unchecked"] | None = None
    numerics_reason: str | None = None
    checks: Mapping[str, tuple[Evidence, ...]] | None = field(default=None, metadata=called("gates"))


@dataclass(frozen=True)
class LearningOfCombination:
    """How soon a combination learns."""

    learning: Sameness | None = None
    episodes_per_update: int | None = None
    episodes_to_target: Figure | None = None
    learning_trials_of: Layers | None = None
    """The combination whose learning trials stand for this one."""
    episodes_needed: Figure | None = None
    """Episodes to the target over the baseline's."""
    time_to_target_s: Figure | None = None
    time_to_target_modelled: bool = False
    """By a model of main effects, since no learning trial stands for it."""
    time_to_target_reason: str | None = None
    """Why there is none."""


@dataclass(frozen=True)
class Metric:
    """One metric of a user's command: its level, and that over the baseline's, whether more or less of it is better."""

    name: str
    level: Figure | None
    ratio: Figure | None


@final
@dataclass(frozen=True)
class CombinationRow:
    """One combination of layers."""

    layers: Layers
    status: str | None = None
    """That of its worst trial; None where it was not run yet."""
    reason: str | None = None
    trials: int = 0
    trials_ok: int = 0
    trials_behind: tuple[TrialBehind, ...] = ()
    episodes_per_min: Figure | None = None
    """Units per minute; of a command's metric its value, or the inverse of one of which less is better."""
    speedup: Figure | None = None
    """Over the baseline, from its own trials."""
    ms_per_episode: Figure | None = None
    """None of a command's metric."""
    env_steps_per_s: Figure | None = None
    setup_s: Figure | None = None
    warmup_s: Figure | None = None
    compile_s: Figure | None = None
    """With a warm cache."""
    compile_cold_s: float | None = None
    """With an empty cache, which a machine has once."""
    peak_memory_mb: Figure | None = None
    energy_j_per_episode: Figure | None = None
    usage: Usage = field(default=Usage(), metadata=FLAT)
    eval_return: float | None = None
    steady_trials: int = 0
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    """By layer: what each trial left as proof that the layer was at work."""
    numerics: Numerics = field(default=Numerics(), metadata=FLAT)
    learning: LearningOfCombination = field(default=LearningOfCombination(), metadata=FLAT)
    break_even_episodes: Figure | None = None
    """Episodes until compiling with a warm cache has saved the time that it takes."""
    break_even_cold_episodes: Figure | None = None
    speedup_predicted: Figure | None = None
    """Over the baseline, predicted from all trials of the run."""
    metrics: tuple[Metric, ...] = ()
    """Of a user's command, the one that is ranked first."""

    @property
    def has_sound_numerics(self) -> bool:
        """Whether it computes what the plain trainer computes, as far as the system offers to check."""
        return self.numerics.numerics in ("same", "unchecked")

    @property
    def is_rated(self) -> bool:
        """Whether it can be called best: its numerics are sound, and none of its trials failed.

        Of the baseline's, which are many and which all others are compared with, some may have failed.
        """
        return (self.status == "ok" or not self.layers) and self.has_sound_numerics and self.speedup is not None

    @property
    def has_own_time_to_target(self) -> bool:
        """Whether its time to the target rests on learning trials, and not on a model."""
        return self.learning.time_to_target_s is not None and not self.learning.time_to_target_modelled


# Layers.


@dataclass(frozen=True)
class Attribution:
    """What one layer does to a response, as ratios."""

    alone: Figure | None = None
    """Over the baseline."""
    last: Figure | None = None
    """All layers over all but this one."""
    main_effect: Figure | None = None
    """On over off, averaged over all combinations of the other layers."""
    main_effect_p_holm: float | None = None
    robust_main_effect: float | None = None
    """By a fit that an outlier moves little."""
    shapley: Figure | None = None
    """Its part of the total, averaged over all orders of switching layers on; the parts multiply to the total."""
    model_based: bool = False
    """Whether combinations were missing, and are predicted in the Shapley value."""
    share: Figure | None = None
    """Of the logarithm of the total."""


@dataclass(frozen=True)
class TimeAttribution:
    """What one layer does to the seconds to the learning target, as ratios (below 1 is sooner)."""

    alone: Figure | None = None
    last: Figure | None = None
    shapley: Figure | None = None


@dataclass(frozen=True)
class Responses:
    """What one layer does to other responses than the speed."""

    time_to_target_s: TimeAttribution
    peak_memory_mb: Attribution
    energy_j_per_episode: Attribution


@dataclass(frozen=True)
class Claimed:
    """What is claimed for a layer, if anything is."""

    claim: tuple[float, float] | None = None
    """The range of ratios."""
    claim_text: str | None = None
    claim_phase: str | None = None
    """The phase whose speed is claimed to change; None: episodes/min."""


@dataclass(frozen=True)
class LearningOfLayer:
    """Whether a layer learns the same from the same episodes."""

    learning: Sameness
    learning_reason: str
    learning_effect: Figure | None = field(default=None, metadata=interval_called("learning_ci"))
    """Its learning curve less the one without it, as a share of what there is to learn; below 0 it learns less."""
    learning_seeds: int = 0
    episodes_needed: Figure | None = None
    """Episodes to the target over the baseline's."""


@dataclass(frozen=True)
class Engagement:
    """Whether a layer did anything, and how that is known.

    ``outside torch``: what torch does is the same with it, and the time is not. ``unproved``: it cannot be told.
    """

    engagement: Literal["engaged", "not-engaged", "outside torch", "unproved"]
    engagement_reason: str


@dataclass(frozen=True)
class LayerRow:
    """One layer: what was claimed, what was measured, and the verdict."""

    name: str
    part: str
    difficulty: str | None
    priority: str | None
    claim: Claimed = field(metadata=FLAT)
    speed: Attribution = field(metadata=FLAT)
    claimed_effect: Figure | None
    """What was measured of that which the claim is about, with the layer alone."""
    verdict: Judgement | None
    verdict_sentence: str | None
    reason: str | None
    """Why the layer cannot run here."""
    engagement: Engagement = field(metadata=FLAT)
    learning: LearningOfLayer = field(metadata=FLAT)
    time_to_target: Figure | None
    """How many times sooner than the baseline the layer alone reaches the target."""
    gain_surviving: Figure | None
    """Of a shown gain in speed, the share that is left as time to the target."""
    responses: Responses


@dataclass(frozen=True)
class Gains:
    """The layers that are shown to gain, the largest first, and the fewest that make most of the gain."""

    layers: Layers
    makers: Layers
    share: Figure


@dataclass(frozen=True)
class Interaction:
    """The ratio of one layer with the other on, over the same with the other off."""

    pair: tuple[str, str]
    effect: Figure = field(metadata=interval_called("ci"))
    p_holm: float | None


# The recommendation.


@dataclass(frozen=True)
class SwitchedLayer:
    """The speed with one layer of the set switched off, over that of the set."""

    layer: str
    ratio: Figure | None


@dataclass(frozen=True)
class LeftOut:
    """The speed with one layer more, over that of the set, and whether that layer would be of use.

    ``state``: ``helps``: shown to, but with it another layer of the set is not shown to help; from ``spoils`` on, why
    the layer cannot join the set, however fast it is.
    """

    layer: str
    ratio: Figure | None
    state: LeftOutState
    by_time: bool
    """Whether ``state`` is by the time to the learning target, since the set learns otherwise with the layer."""


@dataclass(frozen=True)
class Rival:
    """A set that is not shown to be worse than the recommended one: how good it is over that one."""

    layers: Layers
    ratio: Figure
    log_se: float | None
    degrees: float | None


@dataclass(frozen=True)
class ByTime:
    """The set that learns soonest, over the one that is chosen by speed."""

    layers: Layers
    shown: bool
    sooner: Figure | None


@final
@dataclass(frozen=True)
class Fastest:
    """The fastest combination where it is not the recommended one, over that one, and why it is not recommended."""

    layers: Layers
    ratio: Figure | None
    but: str


@final
@dataclass(frozen=True)
class Recommendation:
    """The set of layers to switch on.

    ``settled``: no other set can be faster by what matters; else ``more_blocks`` would tell, None where no practical
    number would or the design leaves out what would tell. ``undecided``: layers of which it is not known whether they
    would help.
    """

    layers: Layers
    basis: Literal["speed", "time to target"]
    speedup: Figure | None
    episodes_per_min: Figure | None
    settled: bool
    more_blocks: int | None
    kept: tuple[SwitchedLayer, ...]
    left_out: tuple[LeftOut, ...]
    undecided: Layers
    rivals: tuple[Rival, ...]
    by_speed: Layers
    by_time: ByTime | None
    fastest: Fastest | None
    excluded: str | None


# Learning, and the sweep.


@dataclass(frozen=True)
class LearningGroup:
    """Combinations that learn alike, by the learning trials of one of them.

    ``apart``: the layers that set them apart from others with as many episodes per update. ``curve``: the mean return
    after so many episodes. ``not_within``: how many episodes were not enough for a trial that did not arrive.
    """

    episodes_per_update: int
    apart: Layers
    layers: Layers
    trials: int
    reached: int
    episodes_to_target: Figure | None
    episodes_to_target_range: Interval | None
    not_within: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LearningSummary:
    """How learning was measured."""

    mode: str
    target: Target | None
    margin: float
    episodes_margin: float
    evaluations_averaged: int
    trials: int
    rounds: int
    failed: tuple[str, ...]
    elapsed_s: float
    share_of_run: float
    cells: tuple[LearningGroup, ...]


@dataclass(frozen=True)
class SweepSize:
    """One number of environments; ``reason`` says why it has no figures."""

    num_envs: int
    reason: str | None
    episodes_per_min: Figure | None
    speedup: Figure | None
    peak_memory_mb: Figure | None


@dataclass(frozen=True)
class Sweep:
    """Speed by size; ``unit``: what a size is a number of; ``rivals`` are not shown to be slower than the best."""

    unit: Unit
    layers: Layers | None
    sizes: tuple[SweepSize, ...]
    best: SweepSize | None
    rivals: tuple[int, ...]


# The whole.


@dataclass(frozen=True)
class ChecksCost:
    """Seconds that the comparison with the plain trainer took, over all trials."""

    prepare_s: float
    trials_s: float


@dataclass(frozen=True)
class Summary:
    """What a run found, finished or not."""

    schema: int
    run: str
    started: str
    trials_done: int
    trials_planned: int
    unfinished: TrialKind | None
    """The kind of the trial that would be run next."""
    system: System
    device: str
    device_faults: tuple[str, ...]
    machine: Facts
    peak_flops: float
    claimed_together: Mapping[str, Sequence[str]]
    workload: Facts
    noise: Noise
    combinations: tuple[CombinationRow, ...]
    layers: tuple[LayerRow, ...]
    gains: Gains | None
    interactions: tuple[Interaction, ...] | None
    total_speedup: Figure | None
    """All of ``total_layers`` over the baseline."""
    total_layers: Layers
    main_effects_mixed: bool
    """Whether main effects mix with interactions, which the design is too small to tell apart."""
    best: CombinationRow | None
    soonest: CombinationRow | None
    """The combination that reaches the learning target first."""
    soonest_gain: Figure | None
    """How many times sooner than the baseline."""
    recommended: Recommendation | None
    learning: LearningSummary
    sweep: Sweep | None
    checks: ChecksCost = field(metadata=called("gates"))

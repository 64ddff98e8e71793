"""What a run found of each combination and of each layer: parts of ablation_summary.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

from m2bench.records.combinations import Layers
from m2bench.records.documents import FLAT, called, interval_called, text_called
from m2bench.records.figure import Figure
from m2bench.records.results import Evidence

Sameness = Literal["same", "changed", "undecided", "not told"]


Judgement = Literal["confirmed", "exceeded", "short", "refuted", "inconclusive", "unsupported"]


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
    half_flops_per_episode: float | None = None
    """Those of ``flops_per_episode`` in a format of 16 bits."""
    product_bytes_per_episode: float | None = None
    """Of the tensors that matrix products take and give."""
    cores: int | None = None
    """That matrix products ran on."""
    peak_flops: float | None = None
    """Operations per second that these cores reach at most in the precisions that are used."""
    mfu: Figure | None = None
    """Matrix-product operations per second as a share of the measured peak, ``peak_flops``."""
    utilization: Figure | None = None
    """Share of the timed window in which the device computes; on the CPU, of all cores, what the trial itself uses."""
    telemetry: Mapping[str, float | None] = field(default_factory=dict)
    telemetry_not_available: Mapping[str, str] = field(default_factory=dict)
    phase_ms_per_episode: Mapping[str, Figure] | None = None
    phases_sum_ms: Figure | None = None

    @property
    def is_half(self) -> bool:
        """Whether most of the products are in a format of 16 bits."""
        return 2 * (self.half_flops_per_episode or 0.0) > (self.flops_per_episode or 0.0)

    @property
    def flops_per_s(self) -> Figure | None:
        """Of matrix products."""
        return self.mfu.scaled(self.peak_flops) if self.mfu and self.peak_flops else None

    @property
    def flops_per_byte(self) -> float | None:
        """Operations of matrix products per byte that they take and give."""
        flops, size = self.flops_per_episode, self.product_bytes_per_episode
        return None if not flops or not size else flops / size


@dataclass(frozen=True)
class NumericsReasons:
    """Why a combination is not known to compute the same: what each check says, by its name; empty: none was run."""

    by_check: Mapping[str, str]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in self.by_check.items()) or "numerics not checked"


@dataclass(frozen=True)
class Numerics:
    """Whether a combination computes what the plain trainer computes, with the evidence of every trial by check."""

    numerics: Literal["same", "changed", "unchecked"] | None = None
    reasons: NumericsReasons | None = field(default=None, metadata=text_called("numerics_reason"))
    checks: Mapping[str, tuple[Evidence, ...]] | None = field(default=None, metadata=called("gates"))


@dataclass(frozen=True)
class LearningOfCombination:
    """How soon a combination learns."""

    learning: Sameness | None = None
    episodes_per_update: float | None = None
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

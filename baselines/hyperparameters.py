"""What is learned, by which algorithm and how fast. Without torch, so that the command line can read it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

PolicySize = Literal["default", "deep"]
Algorithm = Literal["reinforce", "ppo"]
Advantages = Literal["returns", "gae"]
RateScaling = Literal["none", "sqrt", "linear"]


@dataclass(frozen=True)
class Stage:
    """One stage of a curriculum.

    ``until``: the first episode that is beyond it, None for the last one. ``length``: of its episodes, as a share of
    the full one. ``calmest``: which share of the market's stretches it draws from, those of the least volatility.
    """

    until: int | None
    length: float
    calmest: float

    def length_of(self, episode_length: int) -> int:
        """Decisions of its episodes."""
        return max(1, round(self.length * episode_length))


def in_whole_updates(stages: Sequence[Stage], episodes_per_update: int) -> tuple[Stage, ...]:
    """The stages as they come to pass: each ends with the update that its last episode is in.

    Raises ValueError for a stage that no update is left for.
    """
    found: list[Stage] = []
    for stage in stages:
        end = None if stage.until is None else -(-stage.until // episodes_per_update) * episodes_per_update
        if found and end == found[-1].until:
            raise ValueError(
                f"a curriculum's stage until episode {stage.until} would be skipped with {episodes_per_update} "
                "episodes per update"
            )
        found.append(replace(stage, until=end))
    return tuple(found)


CURRICULUM = (Stage(32, 0.25, 0.25), Stage(128, 0.5, 0.5), Stage(None, 1.0, 1.0))


@dataclass(frozen=True)
class Hyperparameters:
    """The same in every combination.

    ``advantages``: what an action is credited with, normalized within its episode: its discounted return; or ``gae``,
    the generalized advantage estimate, for which the policy learns values as well.

    ``curriculum``: the stages of training, in order; empty where all episodes are alike.

    Those of PPO and of the advantages are the usual ones. ``gae_lambda``, ``clip_range`` and ``entropy_coefficient``:
    Schulman et al., "Proximal policy optimization algorithms", 2017, tables 3 and 5 and section 6.1. ``epochs``,
    ``minibatches`` and ``value_coefficient``: those of OpenAI's implementation of it (baselines, ppo2).
    """

    policy_size: PolicySize = "default"
    episode_length: int = 128
    discount: float = 0.99
    macro_learning_rate: float = 1e-4
    micro_learning_rate: float = 5e-4
    macro_interval: int = 2  # the macro part is updated once for this many updates of the rest
    clip_norm: float = 1.0
    lr_scaling: RateScaling = "none"
    algorithm: Algorithm = "reinforce"
    advantages: Advantages = "returns"
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    epochs: int = 4
    minibatches: int = 4  # of an epoch
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    curriculum: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        for length in self.lengths if self.algorithm == "ppo" else ():
            if length % self.minibatches:
                raise ValueError(
                    f"episodes of {length} decisions cannot be divided into {self.minibatches} minibatches"
                )

    def rate_factor(self, episodes_per_update: int) -> float:
        """What both learning rates are multiplied by for this many episodes per update.

        ``linear``: Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.1; ``sqrt``: Krizhevsky, "One weird
        trick for parallelizing convolutional neural networks", 2014, section 5.
        """
        exponent = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}[self.lr_scaling]
        return math.pow(episodes_per_update, exponent)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Decisions of the episodes of each stage, in order; of all where there are no stages."""
        return tuple(stage.length_of(self.episode_length) for stage in self.curriculum) or (self.episode_length,)

    @property
    def with_values(self) -> bool:
        """Whether the policy learns the values of states beside what to do in them."""
        return self.advantages == "gae"

    @property
    def decay(self) -> float:
        """Lambda of the advantages; of 1 and no values they are discounted returns."""
        return self.gae_lambda if self.with_values else 1.0

    @property
    def looks_back(self) -> bool:
        """Whether the policy sees the states of an episode again, or the one after its last decision."""
        return self.algorithm == "ppo" or self.with_values

    @property
    def steps_per_update(self) -> int:
        """Optimizer steps that are made of the same episodes."""
        return self.epochs * self.minibatches if self.algorithm == "ppo" else 1

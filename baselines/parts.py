"""The replaceable parts of the trainer, and what passes between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from .episodes import NUM_ACTIONS, EpisodeBatch, EpisodeSource
from .hyperparameters import Hyperparameters
from .policy import AsymmetricPolicyNetwork

if TYPE_CHECKING:
    from .trainer import Trainer

Forward = Callable[..., Tensor]
"""States (N, 122) to logits (N, 3), or with their values (N, 4).

Where the market is encoded, of each row its encoding (N, F) as well.
"""


@dataclass(frozen=True)
class Seen:
    """What a policy saw in T steps of N episodes, on the device.

    ``states`` (T, N, S), those that it decided in; ``last_state`` (N, S), the one after the last decision, which shows
    the market of the last one. ``features`` (T, N, 120): of the market, what is encoded of them; None where nothing is.
    """

    states: Tensor
    last_state: Tensor
    features: Tensor | None = None


@dataclass(frozen=True)
class Trajectory:
    """What a rollout leaves to learn from: T steps of N episodes, on the device.

    ``outputs``: T tensors of what the policy made of the states: its logits (N, 3), or (N, 4) with their values as the
    last column. ``actions`` (T, N) int64; ``rewards`` (T, N) float32, in percent of the capital. ``last_value`` (N,):
    of the state after the last decision, None where there are no values. ``seen``: None where nobody looks back.
    """

    outputs: list[Tensor]
    actions: Tensor
    rewards: Tensor
    seen: Seen | None = None
    last_value: Tensor | None = None

    @property
    def has_values(self) -> bool:
        """Whether the outputs end with the values of their states."""
        return self.last_value is not None

    @property
    def logits(self) -> list[Tensor]:
        """T tensors (N, 3)."""
        return [output[:, :NUM_ACTIONS] for output in self.outputs] if self.has_values else self.outputs


@dataclass(frozen=True)
class Credit:
    """``advantages`` (T, N), normalized within each episode; ``targets`` (T, N) of the values, None without values."""

    advantages: Tensor
    targets: Tensor | None


@dataclass(frozen=True)
class Minibatch:
    """B steps of each of N episodes, with what the policy that played them made of them.

    ``actions``, ``log_probs`` (of the actions then), ``advantages`` and ``targets``, None without values: each (B, N).
    """

    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    targets: Tensor | None


class Feed(Protocol):
    """Hands out training episodes 0, 1, 2, ... in order, ``num_envs`` at a time."""

    def __iter__(self) -> Iterator[EpisodeBatch]: ...

    def close(self) -> None:
        """Let go of whatever prepares episodes; nothing may be left running."""
        ...


Prepare = Callable[[Sequence[int]], EpisodeBatch]
"""Numbers of training episodes to these episodes as one batch."""
PrepareFrom = Callable[[EpisodeSource, Sequence[int]], EpisodeBatch]

MakeFeed = Callable[[Prepare, int, torch.device], Feed]
"""(what prepares episodes, num_envs, device) to a feed."""


@dataclass(frozen=True)
class Stages:
    """The policy's forward pass, divided by how often it has to be made.

    ``decide``: at every step, since it needs the account. ``encode``: of the market features (M, 120) of any number of
    steps, an encoding (M, F) for ``decide``, which then reads of its states the account alone, their last two columns;
    None where nothing is encoded.
    """

    decide: nn.Module
    encode: nn.Module | None = None


DivideForward = Callable[[AsymmetricPolicyNetwork], Stages]


@dataclass(frozen=True)
class Market:
    """What a loop plays on: T steps of N episodes, on the device.

    ``features`` (T, N, F), those that a state shows; ``price_changes`` (T, N); ``noise`` (T, N, outputs of the policy);
    ``encoding`` (T, N, E), None where nothing is encoded.
    """

    features: Tensor
    price_changes: Tensor
    noise: Tensor
    encoding: Tensor | None


@dataclass(frozen=True)
class Played:
    """States (T, N, F + 2) that were seen, and the one (N, F + 2) after them; actions and rewards, each (T, N)."""

    states: Tensor
    actions: Tensor
    rewards: Tensor
    last_state: Tensor


Loop = Callable[[Forward, Market], Played]
"""Draws every action of N episodes by what ``decide`` makes of the states; without gradients."""
MakeLoop = Callable[[nn.Module, torch.device], Loop]
"""(the stage that decides, as it is; device) to a loop."""


@dataclass(frozen=True)
class Agent:
    """The stages of the policy, ready to be called, and the loop that plays many episodes at once with them."""

    decide: Forward
    encode: Forward | None
    loop: Loop
    looks_back: bool
    """Whether it looks again at what it has seen, so that a rollout has to leave that."""


class Rollout(Protocol):
    """Plays ``num_envs`` episodes with the policy."""

    num_envs: int

    def __call__(self, agent: Agent, batch: EpisodeBatch, device: torch.device) -> Trajectory: ...


WrapForward = Callable[[nn.Module, torch.device], Forward]
"""(stage of the policy, device) to the function that a rollout calls."""


class Precision(Protocol):
    """The arithmetic of the forward pass, and what its gradients need before they are applied.

    ``dtype``: of its matrix products.
    """

    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]: ...

    def backward(self, loss: Tensor) -> None: ...

    def unscale(self, optimizer: torch.optim.Optimizer) -> None: ...

    def step(self, optimizer: torch.optim.Optimizer) -> None: ...

    def finish_update(self) -> None: ...

    def forgives_overflow(self) -> bool:
        """Whether a gradient that is not finite only skipped a step, as a gradient scaler means it to."""
        ...


MakePrecision = Callable[[torch.device], Precision]


@dataclass(frozen=True)
class Objective:
    """The arithmetic from rewards to the loss.

    ``policy_gradient``: REINFORCE's loss, the mean over episodes of -sum_t log pi(a_t|s_t) A_t; where there are values,
    with the sum of their squared errors. ``credit``: of rewards (T, N) and the values (T + 1, N) of all states, None
    without values. ``clipped``: PPO's loss of the outputs (B, N, 3 or 4) for a minibatch.
    """

    policy_gradient: Callable[[Trajectory, Hyperparameters], Tensor]
    credit: Callable[[Tensor, Tensor | None, Hyperparameters], Credit]
    clipped: Callable[[Tensor, Minibatch, Hyperparameters], Tensor]


ArrangeSums = Callable[[AsymmetricPolicyNetwork], None]
"""Of a policy that was just made, how the gradients of its biases and norms are summed over all rows."""
ChooseGradients = Callable[[AsymmetricPolicyNetwork, bool], None]
"""Before each backward pass, with whether the macro part's gradient of this update will be used."""


class Replicas(Protocol):
    """The trainer, and copies of it that learn from as many episodes of each batch; ``count`` with itself."""

    count: int

    def prepare(self, episodes: Sequence[int]) -> EpisodeBatch:
        """Training episodes of these numbers, as one batch in their order."""
        ...

    def learn(self, trainer: Trainer, batch: EpisodeBatch) -> Tensor:
        """The gradient of a batch, added to that of the trainer's policy; its mean reward per episode."""
        ...

    def in_turn(self) -> AbstractContextManager[object]:
        """Held where the trainer is to do the work of all of them, so that it can be counted."""
        ...

    def close(self) -> None:
        """Nothing may be left running."""
        ...


MakeReplicas = Callable[["Trainer"], Replicas]


@dataclass(frozen=True)
class UpdateRule:
    """How many backward passes, each of loss / backwards, one optimizer step gathers."""

    backwards: int = 1


@dataclass(frozen=True)
class Parts:
    """One trainer, as its replaceable parts. A layer replaces exactly one field."""

    feed: MakeFeed
    rollout: Rollout
    forward: WrapForward
    precision: MakePrecision
    objective: Objective
    update: UpdateRule
    stages: DivideForward
    loop: MakeLoop
    preparation: PrepareFrom
    gradients: ChooseGradients
    sums: ArrangeSums
    replicas: MakeReplicas

    @property
    def episodes_per_update(self) -> int:
        return self.rollout.num_envs * self.update.backwards


class DirectFeed:
    """Prepares the next episodes when asked for them."""

    def __init__(self, prepare: Prepare, num_envs: int, device: torch.device):
        self.prepare = prepare
        self.num_envs = num_envs

    def __iter__(self) -> Iterator[EpisodeBatch]:
        first = 0
        while True:
            yield self.prepare(range(first, first + self.num_envs))
            first += self.num_envs

    def close(self) -> None:
        """Nothing is held."""


class Alone:
    """The trainer, without any copies of it."""

    count = 1

    def __init__(self, trainer: Trainer):
        self.prepare = trainer.prepare

    def learn(self, trainer: Trainer, batch: EpisodeBatch) -> Tensor:
        return trainer.learn_alone(batch)

    def in_turn(self) -> AbstractContextManager[object]:
        return nullcontext()

    def close(self) -> None:
        """Nothing is held."""


class Float32:
    """Single precision throughout."""

    dtype = torch.float32

    def __init__(self, device: torch.device):
        self.device = device

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, enabled=False)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients are not scaled."""

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()

    def finish_update(self) -> None:
        """Nothing to adapt."""

    def forgives_overflow(self) -> bool:
        return False


def all_gradients(policy: AsymmetricPolicyNetwork, macro_is_due: bool) -> None:
    """Those of every parameter, in every update."""


def as_torch_sums(policy: AsymmetricPolicyNetwork) -> None:
    """By the derivatives that torch has for its modules."""


def undivided(policy: AsymmetricPolicyNetwork) -> Stages:
    """All of it at every step."""
    return Stages(policy)


def policy_as_it_is(policy: nn.Module, device: torch.device) -> Forward:
    """The policy itself."""
    return policy

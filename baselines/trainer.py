"""The trainer: REINFORCE with asymmetric macro and micro updates, assembled from parts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from .episodes import EpisodeSource
from .objective import looped_objective
from .parts import DirectFeed, Float32, Parts, UpdateRule, policy_as_it_is
from .policy import PolicySize, make_policy
from .rollout import SingleRollout

PHASE_PREFIX = "phase."
PHASES = ("feed", "rollout", "loss", "backward", "step")


@dataclass(frozen=True)
class Hyperparameters:
    """What is learned and how fast; the same in every combination."""

    policy_size: PolicySize = "default"
    episode_length: int = 128
    discount: float = 0.99
    macro_learning_rate: float = 1e-4
    micro_learning_rate: float = 5e-4
    macro_interval: int = 2  # the macro part is updated once for this many updates of the rest
    clip_norm: float = 1.0


def baseline_parts() -> Parts:
    """The plain trainer: every part as a careful user of PyTorch would first write it."""
    return Parts(
        feed=DirectFeed,
        rollout=SingleRollout(),
        forward=policy_as_it_is,
        precision=Float32,
        objective=looped_objective,
        update=UpdateRule(),
    )


class Trainer:
    """Trains one policy with the given parts on a source's training episodes, from episode 0 on.

    ``phase`` is entered around each of PHASES, so that whoever profiles can tell them apart;
    ``feed_wait_s`` counts the seconds spent waiting for episodes.
    """

    def __init__(self, parts: Parts, source: EpisodeSource, settings: Hyperparameters, seed: int, device: torch.device):
        self.parts = parts
        self.settings = settings
        self.device = device
        self.policy = make_policy(settings.policy_size, seed, device)
        self.forward = parts.forward(self.policy, device)
        self.precision = parts.precision(device)
        self.feed = parts.feed(source, parts.rollout.num_envs, device)
        self._batches = iter(self.feed)
        self.macro = _Part(self.policy.macro, settings.macro_learning_rate)
        self.micro = _Part(nn.ModuleList([self.policy.micro, self.policy.head]), settings.micro_learning_rate)
        self.updates = 0
        self.backwards = 0
        self.feed_wait_s = 0.0
        self.phase: Callable[[str], AbstractContextManager[object]] = record_function

    @property
    def episodes(self) -> int:
        """Episodes learned from so far."""
        return self.updates * self.parts.episodes_per_update

    def update(self) -> Tensor:
        """One optimizer step on the next episodes; returns their mean reward per episode, on the device."""
        returns = [self.gather_gradient() for _ in range(self.parts.update.backwards)]
        self.apply_gradient()
        return torch.stack(returns).mean()

    def close(self) -> None:
        self.feed.close()

    def gather_gradient(self) -> Tensor:
        """One backward pass on the next ``num_envs`` episodes; their mean reward per episode, on the device."""
        with self.phase(PHASE_PREFIX + "feed"):
            start = time.perf_counter()
            batch = next(self._batches)
            self.feed_wait_s += time.perf_counter() - start
        with self.phase(PHASE_PREFIX + "rollout"), self.precision.autocast():
            trajectory = self.parts.rollout(self.forward, batch, self.device)
        with self.phase(PHASE_PREFIX + "loss"):
            loss = self.parts.objective(trajectory, self.settings.discount)
        with self.phase(PHASE_PREFIX + "backward"):
            self.precision.backward(loss / self.parts.update.backwards)
        self.backwards += 1
        return trajectory.rewards.sum(dim=0).mean()

    def apply_gradient(self) -> None:
        """One optimizer step with what has been gathered."""
        with self.phase(PHASE_PREFIX + "step"):
            self._step()

    def _step(self) -> None:
        self.updates += 1
        due = [self.micro]
        if self.updates % self.settings.macro_interval == 0:
            due.append(self.macro)
        for part in due:
            self.precision.unscale(part.optimizer)
            nn.utils.clip_grad_norm_(part.parameters, self.settings.clip_norm)
            self.precision.step(part.optimizer)
        self.precision.finish_update()
        # The macro part's gradient of an update that leaves it alone is discarded with the rest.
        self.policy.zero_grad(set_to_none=True)


class _Part:
    """The parameters that share a learning rate, and their optimizer."""

    def __init__(self, module: nn.Module, learning_rate: float):
        self.parameters = list(module.parameters())
        # Fused in every combination: on MPS the default would launch one kernel per tensor and operation.
        self.optimizer = torch.optim.Adam(self.parameters, lr=learning_rate, fused=True)

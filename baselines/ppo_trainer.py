"""Proximal policy optimization: several epochs of clipped steps on the same episodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .episodes import NUM_ACTIONS, EpisodeBatch
from .objective import values_of
from .parts import Credit, Minibatch, Trajectory
from .phases import phase
from .ppo_loss import log_probs_of
from .trainer import Trainer, mean_return

ORDERS = 2**61  # beyond the numbers of episodes, which key the same generator


@dataclass(frozen=True)
class Experience:
    """A trajectory made ready to be learned from; ``log_probs`` (T, N) of its actions when they were taken."""

    trajectory: Trajectory
    log_probs: Tensor
    credit: Credit


class PPOTrainer(Trainer):
    """Trains by PPO: Schulman et al., "Proximal policy optimization algorithms", 2017, algorithm 1.

    Every epoch goes once through all steps of the episodes, in minibatches that take the same steps of each episode:
    so the gradient of a minibatch is the mean of its episodes' gradients, however many are played at once.
    """

    def update(self) -> Tensor:
        self.losses = []
        trajectories = [self.collect(self.next_batch()) for _ in range(self.parts.update.backwards)]
        experiences = [self.judge(trajectory) for trajectory in trajectories]
        for _ in range(self.settings.epochs):
            for steps in self.minibatches(len(trajectories[0].actions)):
                for experience in experiences:
                    self.learn_steps(experience, steps)
                self.apply_gradient()
        return torch.stack([mean_return(trajectory) for trajectory in trajectories]).mean()

    @torch.no_grad()
    def collect(self, batch: EpisodeBatch) -> Trajectory:
        return self.play(batch)

    def learn(self, trajectory: Trajectory) -> None:
        """The backward passes of an epoch, without a step in between."""
        experience = self.judge(trajectory)
        for steps in self.minibatches(len(trajectory.actions)):
            self.learn_steps(experience, steps)

    @torch.no_grad()
    def judge(self, trajectory: Trajectory) -> Experience:
        """Credit every action, and note how probable it was."""
        with phase("loss"):
            outputs = torch.stack(trajectory.outputs)
            log_probs = log_probs_of(torch.log_softmax(outputs[..., :NUM_ACTIONS], dim=2), trajectory.actions)
            values = values_of(trajectory, outputs) if trajectory.has_values else None
            credit = self.parts.objective.credit(trajectory.rewards, values, self.settings)
        return Experience(trajectory, log_probs, credit)

    def minibatches(self, steps: int) -> Iterator[Tensor]:
        """Of so many steps, those of each minibatch of the epoch under way: an order that it and the seed decide."""
        epoch = self.updates // self.settings.minibatches
        rng = np.random.Generator(np.random.Philox(key=[self.seed, ORDERS + epoch]))
        order = torch.from_numpy(rng.permutation(steps)).to(self.device)
        return iter(order.chunk(self.settings.minibatches))

    def learn_steps(self, experience: Experience, steps: Tensor) -> None:
        """One backward pass on these steps (B,) of all episodes."""
        self.parts.gradients(self.policy, self.macro_is_due)
        trajectory, credit = experience.trajectory, experience.credit
        seen = trajectory.seen
        assert seen is not None
        features = None if seen.features is None else seen.features[steps].flatten(0, 1)
        outputs = self.look_at(seen.states[steps].flatten(0, 1), features).to(trajectory.rewards.dtype)
        minibatch = Minibatch(
            trajectory.actions[steps],
            experience.log_probs[steps],
            credit.advantages[steps],
            None if credit.targets is None else credit.targets[steps],
        )
        with phase("loss"):
            loss = self.parts.objective.clipped(outputs.unflatten(0, minibatch.actions.shape), minibatch, self.settings)
        self.backward(loss)

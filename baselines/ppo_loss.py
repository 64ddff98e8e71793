"""PPO's clipped loss, and the plain way to compute it: one episode after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from .episodes import NUM_ACTIONS
from .hyperparameters import Hyperparameters
from .parts import Minibatch


def looped_clipped(outputs: Tensor, minibatch: Minibatch, settings: Hyperparameters) -> Tensor:
    """The mean over the episodes of each one's loss."""
    targets = minibatch.targets
    return torch.stack(
        [
            clipped_loss(
                outputs[:, episode],
                Minibatch(
                    minibatch.actions[:, episode],
                    minibatch.log_probs[:, episode],
                    minibatch.advantages[:, episode],
                    None if targets is None else targets[:, episode],
                ),
                settings,
            )
            for episode in range(outputs.shape[1])
        ]
    ).mean()


def clipped_loss(outputs: Tensor, minibatch: Minibatch, settings: Hyperparameters) -> Tensor:
    """PPO's loss, a mean over decisions of any shape (...); ``outputs`` are (..., 3 or 4).

    -min(r A, clip(r, 1 - e, 1 + e) A) + c_v (V - target)^2 - c_e H, where r is the probability of the action as a
    multiple of what it was when it was taken, and H the entropy of the probabilities. Schulman et al., "Proximal policy
    optimization algorithms", 2017, equations 7 and 9.
    """
    log_probs = torch.log_softmax(outputs[..., :NUM_ACTIONS], dim=-1)
    taken = log_probs_of(log_probs, minibatch.actions)
    ratio = (taken - minibatch.log_probs).exp()
    bounded = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
    surrogate = torch.minimum(ratio * minibatch.advantages, bounded * minibatch.advantages).mean()
    entropy = -(log_probs.exp() * log_probs).sum(dim=-1).mean()
    loss = -surrogate - settings.entropy_coefficient * entropy
    if minibatch.targets is None:
        return loss
    errors = outputs[..., NUM_ACTIONS] - minibatch.targets
    return loss + settings.value_coefficient * errors.square().mean()


def log_probs_of(log_probs: Tensor, actions: Tensor) -> Tensor:
    """Of all log probabilities (..., 3) those of the actions (...)."""
    return log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

"""The plain REINFORCE objective: Python loops over steps and episodes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .parts import Trajectory

RETURN_EPSILON = 1e-8  # keeps an episode without any reward from dividing by zero


def looped_objective(trajectory: Trajectory, discount: float) -> Tensor:
    """Mean over episodes of -sum_t log pi(a_t|s_t) G_t, with G normalized within each episode.

    REINFORCE: Williams, "Simple statistical gradient-following algorithms", 1992.
    """
    log_probs = [
        torch.log_softmax(logits, dim=1).gather(1, actions.unsqueeze(1)).squeeze(1).unbind()
        for logits, actions in zip(trajectory.logits, trajectory.actions.unbind(), strict=True)
    ]
    losses = []
    for episode, rewards in enumerate(trajectory.rewards.t().tolist()):
        loss = torch.zeros((), device=trajectory.rewards.device)
        for step, value in enumerate(normalize(discounted_returns(rewards, discount))):
            loss = loss - log_probs[step][episode] * value
        losses.append(loss)
    return torch.stack(losses).mean()


def discounted_returns(rewards: list[float], discount: float) -> list[float]:
    """G_t = sum over k >= t of discount^(k-t) r_k, for every step t."""
    returns = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + discount * following
        returns.append(following)
    return returns[::-1]


def normalize(returns: list[float]) -> list[float]:
    """Shift to mean 0 and scale to (population) standard deviation 1."""
    mean = sum(returns) / len(returns)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in returns) / len(returns))
    return [(value - mean) / (deviation + RETURN_EPSILON) for value in returns]

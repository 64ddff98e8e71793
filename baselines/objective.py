"""The plain objective in Python loops: the loss of REINFORCE, and the credit given by both algorithms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .episodes import NUM_ACTIONS
from .hyperparameters import Hyperparameters
from .parts import Credit, Objective, Trajectory
from .ppo_loss import looped_clipped

RETURN_EPSILON = 1e-8  # keeps an episode without any reward from dividing by zero


def looped_policy_gradient(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    """Mean over episodes of -sum_t log pi(a_t|s_t) A_t, with A normalized within each episode.

    REINFORCE: Williams, "Simple statistical gradient-following algorithms", 1992.
    """
    log_probs = [
        torch.log_softmax(logits, dim=1).gather(1, actions.unsqueeze(1)).squeeze(1).unbind()
        for logits, actions in zip(trajectory.logits, trajectory.actions.unbind(), strict=True)
    ]
    values = values_of(trajectory, torch.stack(trajectory.outputs)) if trajectory.has_values else None
    losses = []
    for episode, rewards in enumerate(trajectory.rewards.t().tolist()):
        own = None if values is None else values[:, episode]
        advantages, targets = _credit_of_episode(rewards, own, settings)
        loss = torch.zeros((), device=trajectory.rewards.device)
        for step, advantage in enumerate(advantages):
            loss = loss - log_probs[step][episode] * advantage
        if own is not None:
            errors = own[:-1] - torch.tensor(targets, dtype=own.dtype).to(own.device)
            loss = loss + settings.value_coefficient * errors.square().sum()
        losses.append(loss)
    return torch.stack(losses).mean()


def looped_credit(rewards: Tensor, values: Tensor | None, settings: Hyperparameters) -> Credit:
    """The credit of each episode, one after the other."""
    each = [
        _credit_of_episode(own, None if values is None else values[:, episode], settings)
        for episode, own in enumerate(rewards.t().tolist())
    ]
    advantages, targets = (torch.tensor(rows, dtype=rewards.dtype).t() for rows in zip(*each, strict=True))
    return Credit(advantages.to(rewards.device), None if values is None else targets.to(rewards.device))


LOOPED = Objective(looped_policy_gradient, looped_credit, looped_clipped)


def values_of(trajectory: Trajectory, outputs: Tensor) -> Tensor:
    """Values (T + 1, N) of all states, from the outputs (T, N, 4) and the value of the last state."""
    assert trajectory.last_value is not None
    return torch.cat((outputs[..., NUM_ACTIONS], trajectory.last_value.unsqueeze(0)))


def _credit_of_episode(
    rewards: list[float], values: Tensor | None, settings: Hyperparameters
) -> tuple[list[float], list[float]]:
    """Normalized advantages, and what the values (T + 1,) should have been; all values are 0 where there are none."""
    known = [0.0] * (len(rewards) + 1) if values is None else values.tolist()
    advantages = generalized_advantages(rewards, known, settings.discount, settings.decay)
    targets = [advantage + value for advantage, value in zip(advantages, known[:-1], strict=True)]
    return normalize(advantages), targets


def generalized_advantages(rewards: list[float], values: list[float], discount: float, decay: float) -> list[float]:
    """A_t = sum over k >= t of (discount decay)^(k-t) d_k, with d_k = r_k + discount V(s_k+1) - V(s_k).

    ``values``: one more than rewards. An episode is cut off and does not end, so that its last state has a value as
    any other. Schulman et al., "High-dimensional continuous control using generalized advantage estimation", 2016,
    equation 16.
    """
    advantages = []
    following = 0.0
    for step in reversed(range(len(rewards))):
        surprise = rewards[step] + discount * values[step + 1] - values[step]
        following = surprise + discount * decay * following
        advantages.append(following)
    return advantages[::-1]


def normalize(values: list[float]) -> list[float]:
    """Shift to mean 0 and scale to (population) standard deviation 1."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / (deviation + RETURN_EPSILON) for value in values]

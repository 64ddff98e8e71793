"""A reinforcement-learning loop: REINFORCE on CartPole, with the environments of Gymnasium."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Categorical

STEPS, DISCOUNT = 64, 0.99  # of an update, in every environment
CONTRACTS = {"one_forward": 1e-3}


def train(
    *, many_envs: bool = False, one_forward: bool = False, fused: bool = False, device: str = "cpu", seed: int = 0
) -> Iterator[dict[str, Any]]:
    """REINFORCE on CartPole: an update from 64 steps in one environment, or in sixteen."""
    torch.manual_seed(seed)
    count = 16 if many_envs else 1
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * count, autoreset_mode=AutoresetMode.SAME_STEP)
    policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2)).to(device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3, fused=fused)
    state, _ = envs.reset(seed=seed)
    lengths = np.zeros(count)

    while True:
        states, actions, log_probs, rewards, ends, finished = [], [], [], [], [], []
        for _ in range(STEPS):
            states.append(torch.as_tensor(state, device=device))
            with torch.set_grad_enabled(not one_forward):
                distribution = Categorical(logits=policy(states[-1]))
            actions.append(distribution.sample())
            log_probs.append(distribution.log_prob(actions[-1]))
            state, reward, terminated, truncated, _ = envs.step(actions[-1].cpu().numpy())
            end, lengths = terminated | truncated, lengths + 1
            rewards.append(reward)
            ends.append(end)
            finished += [*lengths[end]]
            lengths[end] = 0

        returns, following = np.zeros((STEPS, count), np.float32), np.zeros(count)
        for step in reversed(range(STEPS)):
            following = rewards[step] + DISCOUNT * following * ~ends[step]
            returns[step] = following
        advantages = torch.as_tensor((returns - returns.mean()) / (returns.std() + 1e-6), device=device)
        if one_forward:  # in place of the 64 graphs of the steps
            log_prob = Categorical(logits=policy(torch.stack(states))).log_prob(torch.stack(actions))
        else:
            log_prob = torch.stack(log_probs)
        loss = -(log_prob * advantages).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield {"steps": STEPS * count, "loss": loss, "return": float(np.mean(finished)) if finished else None}

"""Trajectories of random numbers, as a rollout would leave them."""

from __future__ import annotations

import torch

from m2bench.baselines.parts import Seen, Trajectory


def make_trajectory(
    steps: int, episodes: int, seed: int, dtype: torch.dtype = torch.float64, with_values: bool = False
) -> Trajectory:
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=g, dtype=torch.float64).to(dtype)

    states = normal(steps, episodes, 2)
    return Trajectory(
        outputs=[normal(episodes, 3 + with_values).requires_grad_() for _ in range(steps)],
        actions=torch.randint(3, (steps, episodes), generator=g),
        rewards=normal(steps, episodes),
        seen=Seen(states, states[-1]),
        last_value=normal(episodes) if with_values else None,
    )

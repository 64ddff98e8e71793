"""Evaluation: the greedy policy on held-out stretches, against the known good policy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .environment import TRADE_PENALTY, BatchedTradingEnv
from .episodes import EpisodeSource
from .market import Floats
from .policy import AsymmetricPolicyNetwork
from .synthetic import SHOCK, good_positions

# The known good policy's band is the best of these, on the training part.
BANDS = tuple(SHOCK * factor for factor in (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0))


def episode_returns(positions: Floats, price_changes: Floats, trade_penalty: float = TRADE_PENALTY) -> Floats:
    """Return of each episode in percent of the capital, (N,), from positions and price changes (T, N)."""
    before = np.vstack((np.zeros_like(positions[:1]), positions[:-1]))
    rewards = positions * price_changes * 100 - trade_penalty * (positions != before)
    total: Floats = rewards.sum(axis=0)
    return total


@dataclass(frozen=True)
class Evaluation:
    """Evaluates policies on the same held-out episodes, in float32 and without any layer."""

    source: EpisodeSource
    device: torch.device

    @cached_property
    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self.source.evaluation_batch()
        return batch.features.to(self.device), batch.price_changes.to(self.device)

    @cached_property
    def good_return(self) -> float | None:
        """Mean return per held-out episode of the known good policy, in percent; None on a real market."""
        if len(self.source.market.deviation) == 0:
            return None
        deviation, changes = self.source.training_stretches()
        band = max(BANDS, key=lambda band: float(episode_returns(good_positions(deviation, band), changes).mean()))
        positions = self.source.good_evaluation_positions(band)
        held_out = self._batch[1].cpu().numpy().astype(np.float64)
        return float(episode_returns(positions, held_out).mean())

    @torch.no_grad()
    def mean_return(self, policy: AsymmetricPolicyNetwork) -> float:
        """Mean return per held-out episode of the greedy policy, in percent of the capital."""
        env = BatchedTradingEnv()
        state = env.reset(*self._batch)
        total = torch.zeros_like(env.cash)
        done = False
        while not done:
            state, reward, done = env.step(policy(state).argmax(dim=1))
            total += reward
        return float(total.mean())

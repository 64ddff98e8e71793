"""Evaluation: the policy on held-out stretches, and the return that it is to reach there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from .environment import TRADE_PENALTY, BatchedTradingEnv
from .episodes import NUM_ACTIONS, EpisodeSource
from .market import Floats
from .parts import Forward
from .policy import AsymmetricPolicyNetwork
from .synthetic import SHOCK, good_positions

TARGET_SHARE = 0.6
LEAST_STANDARD_ERRORS = 2.0  # of the mean over the held-out episodes, that a target must be worth
Measure = Literal["greedy", "sampled"]

# The known good policy's band is the best of these, on the training part.
BANDS = tuple(SHOCK * factor for factor in (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0))


def episode_returns(positions: Floats, price_changes: Floats, trade_penalty: float = TRADE_PENALTY) -> Floats:
    """Return of each episode in percent of the capital, (N,), from positions and price changes (T, N)."""
    before = np.vstack((np.zeros_like(positions[:1]), positions[:-1]))
    rewards = positions * price_changes * 100 - trade_penalty * (positions != before)
    total: Floats = rewards.sum(axis=0)
    return total


def ignorant_return(episode_length: int, trade_penalty: float = TRADE_PENALTY) -> float:
    """Expected return of drawing HOLD, BUY and SELL alike: its profits cancel, its trading costs do not.

    A decision changes the position with probability 1/3, or 2/3 as long as none has been taken; decision t finds none
    with probability 3^-t.
    """
    return -trade_penalty * (episode_length / 3 + (1 - 3.0**-episode_length) / 2)


@dataclass(frozen=True)
class ReturnTarget:
    """A return to be reached on the way from knowing nothing to a policy that is known to be good.

    All returns are means per held-out episode, in percent of the capital.
    """

    measure: Measure
    """Whether the policy takes its best action, or draws one as in training."""
    good_policy: str
    good_return: float
    ignorant_return: float
    share: float = TARGET_SHARE

    @property
    def target_return(self) -> float:
        return self.ignorant_return + self.share * (self.good_return - self.ignorant_return)


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

    @property
    def measure(self) -> Measure:
        """How learning is measured on this market; see docs/decisions/007."""
        return "greedy" if len(self.source.market.deviation) else "sampled"

    @cached_property
    def target(self) -> ReturnTarget | None:
        """What a learning policy is to reach; None where it could not be told from luck. See docs/decisions/007."""
        if self.good_return is not None:
            target = ReturnTarget("greedy", "the known good policy", self.good_return, 0.0)
        else:
            target = ReturnTarget(
                "sampled", "staying out of the market", 0.0, ignorant_return(self.source.episode_length)
            )
        luck = self._returns(_ignorance, self._noise)
        standard_error = float(luck.std()) / len(luck) ** 0.5
        worth = target.good_return - target.ignorant_return
        return target if worth >= LEAST_STANDARD_ERRORS * standard_error else None

    @cached_property
    def _noise(self) -> torch.Tensor:
        """Gumbel noise (T, N, 3) of the sampled measure: the same for every policy, seed and device."""
        rng = np.random.Generator(np.random.Philox(key=[0, 2**62]))
        steps, episodes = self._batch[1].shape
        noise = rng.gumbel(size=(steps, episodes, NUM_ACTIONS)).astype(np.float32)
        return torch.from_numpy(noise).to(self.device)

    def mean_return(self, policy: AsymmetricPolicyNetwork) -> float:
        """Mean return per held-out episode of the greedy policy, in percent of the capital."""
        return self._mean_return(policy, None)

    def learned_return(self, policy: AsymmetricPolicyNetwork) -> float:
        """The same in this market's measure of learning."""
        return self._mean_return(policy, None if self.measure == "greedy" else self._noise)

    def _mean_return(self, forward: Forward, noise: torch.Tensor | None) -> float:
        return float(self._returns(forward, noise).mean())

    @torch.no_grad()
    def _returns(self, forward: Forward, noise: torch.Tensor | None) -> torch.Tensor:
        """Return of each held-out episode, (N,); without noise the best action is taken."""
        env = BatchedTradingEnv()
        state = env.reset(*self._batch)
        total = torch.zeros_like(env.cash)
        done, step = False, 0
        while not done:
            logits = forward(state)[:, :NUM_ACTIONS]
            action = (logits if noise is None else logits + noise[step]).argmax(dim=1)
            state, reward, done = env.step(action)
            total += reward
            step += 1
        return total


def _ignorance(state: torch.Tensor) -> torch.Tensor:
    """Logits of a policy that draws every action alike."""
    return torch.zeros(len(state), NUM_ACTIONS, device=state.device)

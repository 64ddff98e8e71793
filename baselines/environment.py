"""The trading environment: one episode as a Gymnasium Env, or many as tensors.

Both follow the same rules. Action 0 holds the position, 1 goes long (+1), 2 goes short (-1);
the position is the exposure as a fraction of the initial capital. With c the relative change
of the close until the next candle::

    profit = position * capital * c
    reward = profit / capital * 100 - trade_penalty * (position changed)
    cash  += profit

so that a reward is in percent of the initial capital. The state is macro(60), micro(60),
position, cash / capital. An episode is cut off (truncated) after its T decisions.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .episodes import BUY, HOLD, NUM_ACTIONS, SELL, EpisodeBatch, EpisodeSource
from .features import MACRO_FEATURES, MICRO_FEATURES

CAPITAL = 10_000.0
TRADE_PENALTY = 0.01  # percent of the capital
MARKET_FEATURES = MACRO_FEATURES + MICRO_FEATURES
STATE_SIZE = MARKET_FEATURES + 2
Observation = NDArray[np.floating[Any]]


class TradingEnv(gymnasium.Env[Observation, np.int64]):
    """One episode at a time, one decision per step.

    ``reset(options={"episode": batch_of_one})`` starts a prepared episode; without it the
    environment draws one of its source's training episodes. ``dtype`` is that of the observations;
    the account itself is kept in double precision.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        source: EpisodeSource | None = None,
        trade_penalty: float = TRADE_PENALTY,
        dtype: type[np.floating[Any]] = np.float32,
    ):
        self.source = source
        self.dtype = dtype
        self.trade_penalty = trade_penalty
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (STATE_SIZE,), dtype)
        self.action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        episode = (options or {}).get("episode") or self._draw_episode()
        self._features: NDArray[np.float32] = episode.features[:, 0].numpy()
        self._price_changes: list[float] = episode.price_changes[:, 0].tolist()
        self.step_index = 0
        self.position = 0
        self.cash = CAPITAL
        return self._observe(), {}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        previous = self.position
        if action == BUY:
            self.position = 1
        elif action == SELL:
            self.position = -1
        profit = self.position * CAPITAL * self._price_changes[self.step_index]
        penalty = self.trade_penalty if self.position != previous else 0.0
        reward = profit / CAPITAL * 100 - penalty
        self.cash += profit
        self.step_index += 1
        return self._observe(), reward, False, self.step_index == len(self._price_changes), {}

    def _draw_episode(self) -> EpisodeBatch:
        if self.source is None:
            raise ValueError("an environment without an EpisodeSource needs reset(options={'episode': ...})")
        return self.source.prepare(int(self.np_random.integers(2**31)))

    def _observe(self) -> Observation:
        # After the last decision there is no next candle to describe: the last one is shown again.
        row = min(self.step_index, len(self._features) - 1)
        state = np.empty(STATE_SIZE, dtype=self.dtype)
        state[:MARKET_FEATURES] = self._features[row]
        state[MARKET_FEATURES] = self.position
        state[MARKET_FEATURES + 1] = self.cash / CAPITAL
        return state


class BatchedTradingEnv:
    """N episodes side by side as tensors on one device; nothing in a step waits for the device.

    ``position``, ``cash``: (N,) in the dtype of the price changes.
    """

    def __init__(self, trade_penalty: float = TRADE_PENALTY):
        self.trade_penalty = trade_penalty

    def reset(self, features: Tensor, price_changes: Tensor) -> Tensor:
        """Start the episodes ``features`` (T, N, 120), ``price_changes`` (T, N); the first states, (N, 122)."""
        position = torch.zeros_like(price_changes[0])
        return self.resume(features, price_changes, position, torch.full_like(position, CAPITAL))

    def resume(self, features: Tensor, price_changes: Tensor, position: Tensor, cash: Tensor) -> Tensor:
        """Go on with this position and cash, (N,), where the rest of the episodes is given; the next states."""
        self._features = features
        self._price_changes = price_changes
        self.step_index = 0
        self.position = position
        self.cash = cash
        return self._observe()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Take ``actions`` (N,): the next states (N, 122), rewards (N,), and whether the episodes are cut off."""
        previous = self.position
        chosen = (3 - 2 * actions).to(previous.dtype)  # BUY = 1 gives +1, SELL = 2 gives -1
        self.position = torch.where(actions == HOLD, previous, chosen)
        profit = self.position * CAPITAL * self._price_changes[self.step_index]
        changed = (self.position != previous).to(profit.dtype)
        reward = profit / CAPITAL * 100 - changed * self.trade_penalty
        self.cash = self.cash + profit
        self.step_index += 1
        return self._observe(), reward, self.step_index == len(self._price_changes)

    def _observe(self) -> Tensor:
        row = min(self.step_index, len(self._features) - 1)
        account = torch.stack((self.position, self.cash / CAPITAL), dim=1)
        return torch.cat((self._features[row], account.to(self._features.dtype)), dim=1)

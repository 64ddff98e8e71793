"""Stable-Baselines3's A2C on a Gymnasium environment of the same shape, with a policy of about as many parameters.

Prints one JSON line. The market's features are drawn beforehand, so that preparing them costs nothing.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from contestant import asked, fastest_threads, timed
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import DummyVecEnv

CANDLES, STEPS, FEATURES, PENALTY = 20_000, 128, 120, 0.01
WIDTHS = [160, 160, 128, 64]  # about 160,000 parameters in all: policy and value have one network each


class Trading(gymnasium.Env[Any, Any]):
    """Hold, buy or sell for STEPS decisions; the state is the candle's features, the position and the cash."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES + 2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, features: Any, changes: Any):
        self.features, self.changes = features, changes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.row = int(self.np_random.integers(0, CANDLES - STEPS))
        self.left, self.position, self.cash = STEPS, 0.0, 1.0
        return self._state(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        before = self.position
        self.position = (before, 1.0, -1.0)[int(action)]
        profit = self.position * float(self.changes[self.row])
        self.cash += profit
        self.row, self.left = self.row + 1, self.left - 1
        return self._state(), 100 * profit - PENALTY * (self.position != before), False, self.left == 0, {}

    def _state(self) -> Any:
        state = np.empty(FEATURES + 2, np.float32)
        state[:FEATURES] = self.features[min(self.row, CANDLES - 1)]
        state[FEATURES:] = self.position, self.cash
        return state


def main() -> None:
    import torch

    words = asked(__doc__)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(CANDLES, FEATURES)).astype(np.float32)
    changes = rng.normal(0, 1e-3, CANDLES).astype(np.float32)
    environments = DummyVecEnv([lambda: Trading(features, changes)] * words.num_envs)
    agent = A2C("MlpPolicy", environments, n_steps=STEPS, policy_kwargs={"net_arch": WIDTHS}, device="cpu", seed=0)

    def run() -> float:
        agent.learn(words.num_envs * STEPS, reset_num_timesteps=False)
        return float(words.num_envs)

    threads = fastest_threads(run, torch.set_num_threads)
    parameters = sum(p.numel() for p in agent.policy.parameters())
    timed(run, words.seconds, num_envs=words.num_envs, parameters=parameters, threads=threads)


if __name__ == "__main__":
    main()

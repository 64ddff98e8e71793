"""The plain rollout, one environment, one sample per step; and the loop over the steps of many environments."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .environment import MARKET_FEATURES, BatchedTradingEnv, TradingEnv
from .episodes import EpisodeBatch
from .parts import Agent, Forward, Loop, Market, Played, Seen, Trajectory
from .phases import phase


class SingleRollout:
    """Plays one episode in a Gymnasium environment.

    An action is ``argmax(logits + Gumbel noise)``, which has the policy's distribution
    (the Gumbel-max trick; Maddison, Tarlow & Minka, "A* Sampling", 2014, section 2).

    ``double`` keeps states, logits and rewards in double precision, for a policy that computes so.
    """

    num_envs = 1

    def __init__(self, double: bool = False) -> None:
        self.dtype = torch.float64 if double else torch.float32
        self.env = TradingEnv(dtype=np.float64 if double else np.float32)

    def __call__(self, agent: Agent, batch: EpisodeBatch, device: torch.device) -> Trajectory:
        with phase("copy"):
            noise = batch.noise.to(device)
        encodings = () if agent.encode is None else self._encode(agent.encode, batch, device)
        seen: list[Tensor] = []
        outputs: list[Tensor] = []
        actions: list[int] = []
        rewards: list[float] = []
        with phase("environment"):
            state, _ = self.env.reset(options={"episode": batch})
        done = False
        while not done:
            with phase("copy"):
                states = torch.from_numpy(state).unsqueeze(0).to(device)
            with phase("forward"):
                output = agent.decide(states, *encodings[len(actions) : len(actions) + 1]).to(self.dtype)
            with phase("draw"):
                action = int((output.detach() + noise[len(actions)]).argmax())
            with phase("environment"):
                state, reward, terminated, truncated, _ = self.env.step(action)
            seen.append(states)
            outputs.append(output)
            actions.append(action)
            rewards.append(reward)
            done = terminated or truncated
        with phase("copy"):
            return Trajectory(
                outputs=outputs,
                actions=torch.tensor(actions).unsqueeze(1).to(device),
                rewards=torch.tensor(rewards, dtype=self.dtype).unsqueeze(1).to(device),
                seen=self._seen(agent, seen, state, device) if agent.looks_back else None,
            )

    def _seen(self, agent: Agent, seen: list[Tensor], last_state: NDArray[np.float32], device: torch.device) -> Seen:
        states = torch.stack(seen)
        features = states[:, :, :MARKET_FEATURES] if agent.encode else None
        return Seen(states, torch.from_numpy(last_state).unsqueeze(0).to(device), features)

    def _encode(self, encode: Forward, batch: EpisodeBatch, device: torch.device) -> tuple[Tensor, ...]:
        """The encoding of each step, (1, F)."""
        with phase("copy"):
            features = batch.features[:, 0].to(device)
        with phase("forward"):
            encodings: tuple[Tensor, ...] = encode(features).split(1)
        return encodings


def make_python_loop(decide: nn.Module, device: torch.device) -> Loop:
    """The loop over the steps in Python."""
    return play


def play(decide: Forward, market: Market) -> Played:
    """Step N environments side by side; nothing in it waits for the device."""
    encodings = () if market.encoding is None else market.encoding.unbind()
    env = BatchedTradingEnv()
    with phase("environment"):
        state = env.reset(market.features, market.price_changes)
    states: list[Tensor] = []
    actions: list[Tensor] = []
    rewards: list[Tensor] = []
    done = False
    while not done:
        step = len(actions)
        states.append(state)
        with phase("forward"):
            outputs = decide(state, *encodings[step : step + 1])
        with phase("draw"):
            action = (outputs.float() + market.noise[step]).argmax(dim=1)
        with phase("environment"):
            state, reward, done = env.step(action)
        actions.append(action)
        rewards.append(reward)
    return Played(torch.stack(states), torch.stack(actions), torch.stack(rewards), state)

"""The single and the batched environment follow the same rules, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from m2bench.baselines.environment import CAPITAL, BatchedTradingEnv, TradingEnv
from m2bench.baselines.episodes import BUY, HOLD, SELL, EpisodeBatch, EpisodeSource


def episode(changes: list[float]) -> EpisodeBatch:
    steps = len(changes)
    return EpisodeBatch(
        features=torch.zeros(steps, 1, 120),
        price_changes=torch.tensor(changes, dtype=torch.float64).unsqueeze(1),
        noise=torch.zeros(steps, 1, 3),
        numbers=torch.zeros(1, dtype=torch.int64),
    )


@pytest.mark.filterwarnings("ignore::UserWarning:gymnasium")
def test_the_single_environment_is_a_gymnasium_env(source: EpisodeSource) -> None:
    check_env(TradingEnv(source))


def test_a_hand_computed_episode() -> None:
    env = TradingEnv(trade_penalty=0.5)
    state, _ = env.reset(options={"episode": episode([0.01, 0.02, -0.04, 0.10])})
    assert state[-2:].tolist() == [0.0, 1.0]
    # HOLD from no position earns nothing; BUY earns 2 % less the penalty; HOLD keeps the long position and
    # loses 4 %; SELL turns it and loses 10 %.
    expected = [(HOLD, 0, 0.0), (BUY, 1, 2.0 - 0.5), (HOLD, 1, -4.0), (SELL, -1, -10.0 - 0.5)]
    for number, (action, position, reward) in enumerate(expected, 1):
        state, got, terminated, truncated, _ = env.step(action)
        assert env.position == position
        assert got == pytest.approx(reward)
        assert not terminated
        assert truncated == (number == 4)
    assert env.cash == pytest.approx(CAPITAL * (1 + 0.02 - 0.04 - 0.10))
    assert state[-1] == pytest.approx(0.88)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_32_singles_and_one_batch_step_alike(source: EpisodeSource, dtype: torch.dtype) -> None:
    batch = source.prepare_many(range(32))
    changes = batch.price_changes.to(dtype)
    singles = [TradingEnv() for _ in range(32)]
    states = []
    for i, env in enumerate(singles):
        one = replace(batch.take([i]), price_changes=changes[:, i : i + 1])
        states.append(env.reset(options={"episode": one})[0])
    batched = BatchedTradingEnv()
    state = batched.reset(batch.features, changes)
    rng = np.random.default_rng(0)
    exact = dtype is torch.float64
    done = False
    steps = 0
    while not done:
        np.testing.assert_allclose(state.numpy(), np.stack(states), rtol=0, atol=0 if exact else 1e-6)
        actions = rng.integers(3, size=32)
        state, rewards, done = batched.step(torch.from_numpy(actions))
        outcomes = [env.step(int(action)) for env, action in zip(singles, actions, strict=True)]
        states = [outcome[0] for outcome in outcomes]
        assert [env.position for env in singles] == batched.position.tolist()
        single_rewards = [outcome[1] for outcome in outcomes]
        single_cash = [env.cash for env in singles]
        assert {outcome[3] for outcome in outcomes} == {done}
        if exact:
            assert single_rewards == rewards.tolist()
            assert single_cash == batched.cash.tolist()
        else:
            np.testing.assert_allclose(rewards.numpy(), single_rewards, rtol=0, atol=2e-6)
            np.testing.assert_allclose(batched.cash.numpy(), single_cash, rtol=1e-6)
        steps += 1
    assert steps == source.episode_length

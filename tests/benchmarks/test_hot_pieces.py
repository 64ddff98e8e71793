"""Speed of the pieces that a trial repeats most. Run with: pytest tests/benchmarks --benchmark-enable -n 0"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from m2bench.baselines.environment import BatchedTradingEnv, TradingEnv
from m2bench.baselines.episodes import EpisodeSource
from m2bench.baselines.objective import discounted_returns, looped_objective
from m2bench.baselines.parts import Objective, Trajectory
from m2bench.baselines.policy import make_policy
from m2bench.optimizations.vectorized_loss import vectorized_objective


def test_preparing_an_episode(benchmark: Any, source: EpisodeSource) -> None:
    batch = benchmark(source.prepare, 7)
    assert batch.features.shape == (source.episode_length, 1, 120)


def test_a_step_of_the_single_environment(benchmark: Any, source: EpisodeSource) -> None:
    env = TradingEnv()
    episode = source.prepare(0)

    def start() -> tuple[tuple[int], dict[str, Any]]:
        env.reset(options={"episode": episode})
        return (1,), {}

    assert benchmark.pedantic(env.step, setup=start, rounds=200)[0].shape == (122,)


@pytest.mark.parametrize("num_envs", [1, 32, 256])
def test_a_step_of_the_batched_environment(benchmark: Any, source: EpisodeSource, num_envs: int) -> None:
    env = BatchedTradingEnv()
    batch = source.prepare_many(range(num_envs))
    actions = torch.ones(num_envs, dtype=torch.int64)

    def start() -> tuple[tuple[torch.Tensor], dict[str, Any]]:
        env.reset(batch.features, batch.price_changes)
        return (actions,), {}

    assert benchmark.pedantic(env.step, setup=start, rounds=200)[0].shape == (num_envs, 122)


def test_discounted_returns(benchmark: Any) -> None:
    assert len(benchmark(discounted_returns, [0.5] * 128, 0.99)) == 128


@pytest.mark.parametrize("objective", [looped_objective, vectorized_objective])
@pytest.mark.parametrize("episodes", [1, 32])
def test_the_objective(benchmark: Any, objective: Objective, episodes: int) -> None:
    trajectory = Trajectory(
        [torch.randn(episodes, 3) for _ in range(128)],
        torch.zeros(128, episodes, dtype=torch.int64),
        torch.randn(128, episodes),
    )
    assert torch.isfinite(benchmark(objective, trajectory, 0.99))


@pytest.mark.parametrize("samples", [1, 32, 4096])
def test_a_forward_pass_of_the_policy(benchmark: Any, samples: int) -> None:
    policy = make_policy("default", 0, torch.device("cpu"))
    states = torch.randn(samples, 122)
    with torch.no_grad():
        assert benchmark(policy, states).shape == (samples, 3)

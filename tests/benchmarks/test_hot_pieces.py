"""Speed of the pieces that a trial repeats most. Run with: pytest tests/benchmarks --benchmark-enable -n 0"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trajectories import make_trajectory

from m2bench.baselines.environment import BatchedTradingEnv, TradingEnv
from m2bench.baselines.episodes import EpisodeSource
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.objective import LOOPED, generalized_advantages
from m2bench.baselines.parts import Objective
from m2bench.baselines.policy import make_policy
from m2bench.optimizations.vectorized_loss import VECTORIZED


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


def test_advantages(benchmark: Any) -> None:
    assert len(benchmark(generalized_advantages, [0.5] * 128, [0.1] * 129, 0.99, 0.95)) == 128


@pytest.mark.parametrize("objective", [LOOPED, VECTORIZED])
@pytest.mark.parametrize("episodes", [1, 32])
def test_the_objective(benchmark: Any, objective: Objective, episodes: int) -> None:
    trajectory = make_trajectory(128, episodes, seed=0, dtype=torch.float32)
    assert torch.isfinite(benchmark(objective.policy_gradient, trajectory, Hyperparameters()))


@pytest.mark.parametrize("samples", [1, 32, 4096])
def test_a_forward_pass_of_the_policy(benchmark: Any, samples: int) -> None:
    policy = make_policy("default", 0, torch.device("cpu"))
    states = torch.randn(samples, 122)
    with torch.no_grad():
        assert benchmark(policy, states).shape == (samples, 3)

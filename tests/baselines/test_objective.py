"""Both objectives against the formula in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bench.baselines.objective import discounted_returns, looped_objective
from m2bench.baselines.parts import Objective, Trajectory
from m2bench.optimizations import vectorized_loss
from m2bench.optimizations.vectorized_loss import vectorized_objective


def trajectory(steps: int, episodes: int, seed: int, dtype: torch.dtype = torch.float64) -> Trajectory:
    g = torch.Generator().manual_seed(seed)
    return Trajectory(
        logits=[
            torch.randn(episodes, 3, generator=g, dtype=torch.float64).to(dtype).requires_grad_() for _ in range(steps)
        ],
        actions=torch.randint(3, (steps, episodes), generator=g),
        rewards=torch.randn(steps, episodes, generator=g, dtype=torch.float64).to(dtype),
    )


def formula(t: Trajectory, discount: float) -> float:
    """mean_n -sum_t log softmax(logits)[a] G_t, with G normalized per episode, in NumPy."""
    logits = np.stack([step.detach().numpy() for step in t.logits]).astype(np.float64)
    rewards = t.rewards.numpy().astype(np.float64)
    steps, episodes = rewards.shape
    losses = []
    for n in range(episodes):
        returns = np.array([sum(discount ** (k - s) * rewards[k, n] for k in range(s, steps)) for s in range(steps)])
        normalized = (returns - returns.mean()) / (returns.std() + 1e-8)
        log_probs = logits[:, n] - np.log(np.exp(logits[:, n]).sum(axis=1, keepdims=True))
        losses.append(-sum(log_probs[s, t.actions[s, n]] * normalized[s] for s in range(steps)))
    return float(np.mean(losses))


OBJECTIVES = [looped_objective, vectorized_objective]


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=20, deadline=None)
@given(steps=st.integers(2, 12), episodes=st.integers(1, 5), seed=st.integers(0, 999), discount=st.floats(0.5, 1.0))
def test_the_loss_is_the_formula(objective: Objective, steps: int, episodes: int, seed: int, discount: float) -> None:
    t = trajectory(steps, episodes, seed)
    assert float(objective(t, discount).detach()) == pytest.approx(formula(t, discount), rel=1e-5, abs=1e-6)


def test_both_objectives_have_the_same_gradient() -> None:
    looped, vectorized = trajectory(40, 6, seed=1), trajectory(40, 6, seed=1)
    looped_objective(looped, 0.99).backward()
    vectorized_objective(vectorized, 0.99).backward()
    for a, b in zip(looped.logits, vectorized.logits, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_gradient_of_a_batch_is_the_mean_of_its_episodes_gradients(objective: Objective) -> None:
    batch = trajectory(10, 4, seed=2)
    objective(batch, 0.99).backward()
    for n in range(4):
        alone = Trajectory(
            [step.detach()[n : n + 1].requires_grad_() for step in batch.logits],
            batch.actions[:, n : n + 1],
            batch.rewards[:, n : n + 1],
        )
        objective(alone, 0.99).backward()
        for a, b in zip(alone.logits, batch.logits, strict=True):
            assert a.grad is not None
            assert b.grad is not None
            torch.testing.assert_close(a.grad[0] / 4, b.grad[n], rtol=1e-6, atol=1e-8)


def test_discounted_returns_of_a_constant_reward_are_a_geometric_series() -> None:
    expected = [(1 - 0.9 ** (5 - t)) / (1 - 0.9) for t in range(5)]
    assert discounted_returns([1.0] * 5, 0.9) == pytest.approx(expected)
    ours = vectorized_loss.discounted_returns(torch.ones(5, 2, dtype=torch.float64), 0.9)
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64).unsqueeze(1).expand(5, 2))


def test_vectorized_returns_are_stable_where_the_discounts_vanish() -> None:
    """0.9^3000 is below the smallest float32, and so is its reciprocal above the largest."""
    assert 0.9**3000 < 1e-45
    returns = vectorized_loss.discounted_returns(torch.ones(3000, 1), 0.9)
    assert torch.isfinite(returns).all()
    assert float(returns[0, 0]) == pytest.approx(10.0, rel=1e-5)
    assert float(returns[-1, 0]) == pytest.approx(1.0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_episode_without_any_reward_teaches_nothing(objective: Objective) -> None:
    t = trajectory(6, 2, seed=3)
    silent = Trajectory(t.logits, t.actions, torch.zeros(6, 2, dtype=torch.float64))
    loss = objective(silent, 0.99)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert all(step.grad is not None and float(step.grad.abs().max()) == 0.0 for step in t.logits)


def test_operators_of_the_vectorized_objective_do_not_grow() -> None:
    count = vectorized_loss.count_operators
    assert count(vectorized_objective, 3, 2) == count(vectorized_objective, 50, 20)
    assert count(looped_objective, 50, 20) > 10 * count(looped_objective, 3, 2)

"""Both objectives against the formulas in double precision: REINFORCE's, GAE's and PPO's."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import make_trajectory

from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.objective import LOOPED, generalized_advantages, normalize, values_of
from m2bench.baselines.parts import Minibatch, Objective, Trajectory
from m2bench.optimizations import vectorized_loss
from m2bench.optimizations.vectorized_loss import VECTORIZED, discounted_sums

PLAIN = Hyperparameters()
GAE = Hyperparameters(advantages="gae")
OBJECTIVES = [LOOPED, VECTORIZED]
NAMES = ["looped", "vectorized"]
both = pytest.mark.parametrize("objective", OBJECTIVES, ids=NAMES)


def credit_formula(rewards: np.ndarray, values: np.ndarray, discount: float, decay: float) -> np.ndarray:
    """GAE as it is defined: the average of all k-step advantages, weighted by (1 - decay) decay^(k-1).

    For one episode that is cut off after T rewards: beyond that all advantages are the longest one.
    """
    steps = len(rewards)
    found = np.zeros(steps)
    for t in range(steps):
        longest = steps - t
        of_k_steps = [
            sum(discount**j * rewards[t + j] for j in range(k)) + discount**k * values[t + k] - values[t]
            for k in range(1, longest + 1)
        ]
        weights = [(1 - decay) * decay ** (k - 1) for k in range(1, longest)] + [decay ** (longest - 1)]
        found[t] = np.dot(weights, of_k_steps)
    return found


def standardized(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = (values - values.mean()) / (values.std() + 1e-8)
    return found


def reinforce_formula(t: Trajectory, chosen: Hyperparameters) -> float:
    """mean_n -sum_t log softmax(logits)[a] A_t, with A normalized per episode, in NumPy."""
    outputs = np.stack([step.detach().numpy() for step in t.outputs]).astype(np.float64)
    rewards = t.rewards.numpy().astype(np.float64)
    steps, episodes = rewards.shape
    losses = []
    for n in range(episodes):
        values, decay = np.zeros(steps + 1), 1.0
        if t.last_value is not None:
            values, decay = np.append(outputs[:, n, 3], float(t.last_value[n])), chosen.gae_lambda
        credit = credit_formula(rewards[:, n], values, chosen.discount, decay)
        logits = outputs[:, n, :3]
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        advantages = standardized(credit)
        loss = -sum(log_probs[s, t.actions[s, n]] * advantages[s] for s in range(steps))
        if t.last_value is not None:  # the target is what the value should have been: itself and the advantage
            loss += chosen.value_coefficient * (credit**2).sum()
        losses.append(loss)
    return float(np.mean(losses))


@both
@pytest.mark.parametrize("chosen", [PLAIN, GAE], ids=["returns", "gae"])
@settings(max_examples=20, deadline=None)
@given(steps=st.integers(2, 12), episodes=st.integers(1, 5), seed=st.integers(0, 999), discount=st.floats(0.5, 1.0))
def test_reinforces_loss_is_the_formula(
    objective: Objective, chosen: Hyperparameters, steps: int, episodes: int, seed: int, discount: float
) -> None:
    t = make_trajectory(steps, episodes, seed, with_values=chosen.with_values)
    asked = replace(chosen, discount=discount)
    found = float(objective.policy_gradient(t, asked).detach())
    assert found == pytest.approx(reinforce_formula(t, asked), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("chosen", [PLAIN, GAE], ids=["returns", "gae"])
def test_both_objectives_have_the_same_gradient(chosen: Hyperparameters) -> None:
    looped, vectorized = (make_trajectory(40, 6, seed=1, with_values=chosen.with_values) for _ in range(2))
    LOOPED.policy_gradient(looped, chosen).backward()
    VECTORIZED.policy_gradient(vectorized, chosen).backward()
    for a, b in zip(looped.outputs, vectorized.outputs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-8)


@both
def test_the_gradient_of_a_batch_is_the_mean_of_its_episodes_gradients(objective: Objective) -> None:
    batch = make_trajectory(10, 4, seed=2)
    objective.policy_gradient(batch, PLAIN).backward()
    for n in range(4):
        alone = replace(
            batch,
            outputs=[step.detach()[n : n + 1].requires_grad_() for step in batch.outputs],
            actions=batch.actions[:, n : n + 1],
            rewards=batch.rewards[:, n : n + 1],
        )
        objective.policy_gradient(alone, PLAIN).backward()
        for a, b in zip(alone.outputs, batch.outputs, strict=True):
            assert a.grad is not None
            assert b.grad is not None
            torch.testing.assert_close(a.grad[0] / 4, b.grad[n], rtol=1e-6, atol=1e-8)


def test_without_values_the_advantages_of_a_constant_reward_are_a_geometric_series() -> None:
    expected = [(1 - 0.9 ** (5 - t)) / (1 - 0.9) for t in range(5)]
    assert generalized_advantages([1.0] * 5, [0.0] * 6, 0.9, 1.0) == pytest.approx(expected)
    ours = discounted_sums(torch.ones(5, 2, dtype=torch.float64), 0.9)
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64).unsqueeze(1).expand(5, 2))


def test_vectorized_sums_are_stable_where_the_discounts_vanish() -> None:
    """0.9^3000 is below the smallest float32, and so is its reciprocal above the largest."""
    assert 0.9**3000 < 1e-45
    sums = discounted_sums(torch.ones(3000, 1), 0.9)
    assert torch.isfinite(sums).all()
    assert float(sums[0, 0]) == pytest.approx(10.0, rel=1e-5)
    assert float(sums[-1, 0]) == pytest.approx(1.0)


@both
def test_an_episode_without_any_reward_teaches_nothing(objective: Objective) -> None:
    t = make_trajectory(6, 2, seed=3)
    loss = objective.policy_gradient(replace(t, rewards=torch.zeros(6, 2, dtype=torch.float64)), PLAIN)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert all(step.grad is not None and float(step.grad.abs().max()) == 0.0 for step in t.outputs)


@pytest.mark.parametrize(
    "chosen",
    [PLAIN, GAE, Hyperparameters(algorithm="ppo", advantages="gae"), Hyperparameters(algorithm="ppo")],
    ids=["reinforce", "reinforce-gae", "ppo-gae", "ppo"],
)
def test_operators_of_the_vectorized_objective_do_not_grow(chosen: Hyperparameters) -> None:
    count = vectorized_loss.count_operators
    assert count(VECTORIZED, chosen, 3, 2) == count(VECTORIZED, chosen, 50, 20)
    # PPO's plain loss loops over episodes alone: 3 and 30 of them.
    assert count(LOOPED, chosen, 50, 30) > 5 * count(LOOPED, chosen, 3, 3)


# GAE.


def credit_of(
    objective: Objective, rewards: list[float], values: list[float], discount: float, decay: float
) -> tuple[list[float], list[float]]:
    """Advantages as the objective normalizes them, and the targets, of one episode."""
    chosen = Hyperparameters(advantages="gae", discount=discount, gae_lambda=decay)
    of_rewards, of_values = (torch.tensor(x, dtype=torch.float64).unsqueeze(1) for x in (rewards, values))
    credit = objective.credit(of_rewards, of_values, chosen)
    assert credit.targets is not None
    return credit.advantages[:, 0].tolist(), credit.targets[:, 0].tolist()


@both
@settings(max_examples=20, deadline=None)
@given(steps=st.integers(2, 12), seed=st.integers(0, 999), discount=st.floats(0.5, 1.0), decay=st.floats(0.0, 1.0))
def test_advantages_are_the_weighted_average_of_all_horizons(
    objective: Objective, steps: int, seed: int, discount: float, decay: float
) -> None:
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=steps), rng.normal(size=steps + 1)
    expected = credit_formula(rewards, values, discount, decay)
    advantages, targets = credit_of(objective, rewards.tolist(), values.tolist(), discount, decay)
    assert advantages == pytest.approx(standardized(expected).tolist(), rel=1e-6, abs=1e-6)
    assert targets == pytest.approx((expected + values[:-1]).tolist(), rel=1e-9, abs=1e-9)


REWARDS, VALUES = [1.0, -2.0, 0.5], [0.3, -0.1, 0.7, 2.0]


@both
def test_with_lambda_1_they_are_returns_minus_values_and_the_cut_off_end_is_worth_its_value(
    objective: Objective,
) -> None:
    returns = [1.0 + 0.9 * (-2.0 + 0.9 * (0.5 + 0.9 * 2.0)), -2.0 + 0.9 * (0.5 + 0.9 * 2.0), 0.5 + 0.9 * 2.0]
    advantages, targets = credit_of(objective, REWARDS, VALUES, 0.9, 1.0)
    assert targets == pytest.approx(returns)
    assert advantages == pytest.approx(normalize([g - v for g, v in zip(returns, VALUES[:-1], strict=True)]))


@both
def test_with_lambda_0_they_are_the_errors_of_one_step(objective: Objective) -> None:
    errors = [1.0 - 0.09 - 0.3, -2.0 + 0.63 + 0.1, 0.5 + 1.8 - 0.7]
    advantages, targets = credit_of(objective, REWARDS, VALUES, 0.9, 0.0)
    assert advantages == pytest.approx(normalize(errors))
    assert targets == pytest.approx([1.0 - 0.09, -2.0 + 0.63, 0.5 + 1.8])


def test_right_values_leave_nothing_to_credit() -> None:
    """Where a value is the reward and the discounted value after it, no step is a surprise, whatever lambda."""
    values = [8.0, 4.0, 2.0, 1.0, 0.5]
    rewards = [now - 0.9 * following for now, following in pairwise(values)]
    assert generalized_advantages(rewards, values, 0.9, 0.7) == pytest.approx([0.0] * 4, abs=1e-12)


# PPO's loss.

CLIPPED = Hyperparameters(
    algorithm="ppo", advantages="gae", clip_range=0.2, entropy_coefficient=0.0, value_coefficient=0.0
)


def one_decision(ratio: float, advantage: float) -> tuple[torch.Tensor, Minibatch]:
    """Outputs for one decision whose action has become so many times as probable as it was; it is now 0.25."""
    outputs = torch.tensor([[[math.log(0.25), math.log(0.5), math.log(0.25), 0.6]]], dtype=torch.float64)
    before = torch.tensor([[math.log(0.25 / ratio)]], dtype=torch.float64)
    minibatch = Minibatch(torch.tensor([[0]]), before, torch.full_like(before, advantage), torch.full_like(before, 1.0))
    return outputs.requires_grad_(), minibatch


@both
@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate", "is_pushed"),
    [
        (1.1, 2.0, 2.2, True),  # within the bounds
        (0.9, -2.0, -1.8, True),
        (1.5, 2.0, 2.4, False),  # far enough in the direction that pays: 1.2 x 2
        (0.5, -2.0, -1.6, False),  # 0.8 x -2
        (1.5, -2.0, -3.0, True),  # far in the direction that costs: not bounded
        (0.5, 2.0, 1.0, True),
    ],
)
def test_the_surrogate_is_bounded_in_the_direction_that_pays(
    objective: Objective, ratio: float, advantage: float, surrogate: float, is_pushed: bool
) -> None:
    outputs, minibatch = one_decision(ratio, advantage)
    loss = objective.clipped(outputs, minibatch, CLIPPED)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(-surrogate)
    assert outputs.grad is not None
    # d ratio / d logits = ratio (one hot - probabilities)
    slope = -advantage * ratio if is_pushed else 0.0
    expected = [slope * 0.75, slope * -0.5, slope * -0.25, 0.0]
    assert outputs.grad.flatten().tolist() == pytest.approx(expected, abs=1e-12)


@both
def test_entropy_is_rewarded_and_errors_of_the_values_cost(objective: Objective) -> None:
    outputs, minibatch = one_decision(1.0, 0.0)
    found = objective.clipped(outputs, minibatch, replace(CLIPPED, entropy_coefficient=0.01, value_coefficient=0.5))
    entropy = -(0.25 * math.log(0.25) * 2 + 0.5 * math.log(0.5))
    assert float(found.detach()) == pytest.approx(0.5 * (0.6 - 1.0) ** 2 - 0.01 * entropy)


def random_minibatch(steps: int, episodes: int, seed: int) -> tuple[torch.Tensor, Minibatch]:
    t = make_trajectory(steps, episodes, seed, with_values=True)
    outputs = torch.stack(t.outputs).detach()
    now = torch.log_softmax(outputs[..., :3], dim=2).gather(2, t.actions.unsqueeze(2)).squeeze(2)
    g = torch.Generator().manual_seed(seed)
    before = now - 0.4 * torch.randn(now.shape, generator=g, dtype=now.dtype)
    assert t.seen is not None
    return outputs.requires_grad_(), Minibatch(t.actions, before, t.rewards, t.seen.states[..., 0])


@both
def test_the_gradient_of_the_clipped_loss_is_its_slope(objective: Objective) -> None:
    chosen = Hyperparameters(algorithm="ppo", advantages="gae")
    outputs, minibatch = random_minibatch(8, 3, seed=4)
    objective.clipped(outputs, minibatch, chosen).backward()
    g = torch.Generator().manual_seed(9)
    for _ in range(5):
        direction = torch.randn(outputs.shape, generator=g, dtype=outputs.dtype)
        ends = [objective.clipped(outputs.detach() + h * direction, minibatch, chosen) for h in (1e-6, -1e-6)]
        assert outputs.grad is not None
        assert float(ends[0] - ends[1]) / 2e-6 == pytest.approx(float((outputs.grad * direction).sum()), rel=1e-6)


def test_both_objectives_clip_alike() -> None:
    chosen = Hyperparameters(algorithm="ppo", advantages="gae")
    outputs, minibatch = random_minibatch(20, 5, seed=6)
    losses = [objective.clipped(outputs, minibatch, chosen) for objective in OBJECTIVES]
    gradients = [torch.autograd.grad(loss, outputs)[0] for loss in losses]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-10, atol=1e-12)


def test_the_values_of_a_trajectory_end_with_the_last_states() -> None:
    t = make_trajectory(3, 2, seed=0, with_values=True)
    assert t.last_value is not None
    found = values_of(t, torch.stack(t.outputs)).detach()
    torch.testing.assert_close(found[:3], torch.stack([output[:, 3] for output in t.outputs]).detach())
    torch.testing.assert_close(found[3], t.last_value)

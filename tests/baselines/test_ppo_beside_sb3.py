"""PPO's arithmetic beside an implementation that knows nothing of ours; with the extra ``peers``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.objective import LOOPED, generalized_advantages
from m2bench.baselines.parts import Minibatch, Objective
from m2bench.optimizations.vectorized_loss import VECTORIZED

sb3 = pytest.importorskip("stable_baselines3")
gymnasium = pytest.importorskip("gymnasium")

STEPS = 64
SETTINGS = Hyperparameters(algorithm="ppo", advantages="gae", episode_length=STEPS)


class Endless(gymnasium.Env):  # type: ignore[misc, name-defined]
    """Random states and rewards; never over, so that a rollout of it is cut off."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._state(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._state(), float(self.np_random.normal() + 0.5 * action), False, False, {}

    def _state(self) -> Any:
        return self.np_random.normal(size=4).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    """Stable-Baselines3's PPO after a rollout. Its one step is plain gradient descent, so that it is the gradient."""
    made = sb3.PPO(
        "MlpPolicy",
        Endless(),
        n_steps=STEPS,
        batch_size=STEPS,
        n_epochs=1,
        learning_rate=1.0,
        gamma=SETTINGS.discount,
        gae_lambda=SETTINGS.gae_lambda,
        clip_range=SETTINGS.clip_range,
        ent_coef=SETTINGS.entropy_coefficient,
        vf_coef=SETTINGS.value_coefficient,
        max_grad_norm=1e9,
        normalize_advantage=False,
        policy_kwargs={"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}},
        seed=0,
        device="cpu",
    )
    _, callback = made._setup_learn(STEPS)
    assert made.collect_rollouts(made.env, callback, made.rollout_buffer, n_rollout_steps=STEPS)
    return made


def test_advantages_and_targets_are_the_same(model: Any) -> None:
    buffer = model.rollout_buffer
    last = model.policy.predict_values(torch.as_tensor(model._last_obs)).item()
    rewards, values = buffer.rewards[:, 0].tolist(), [*buffer.values[:, 0].tolist(), last]
    ours = generalized_advantages(rewards, values, SETTINGS.discount, SETTINGS.gae_lambda)
    assert ours == pytest.approx(buffer.advantages[:, 0].tolist(), rel=1e-4, abs=1e-5)
    of_rewards, of_values = (torch.tensor(x).unsqueeze(1) for x in (rewards, values))
    targets = VECTORIZED.credit(of_rewards, of_values, SETTINGS).targets
    assert targets is not None
    assert targets[:, 0].tolist() == pytest.approx(buffer.returns[:, 0].tolist(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("objective", [LOOPED, VECTORIZED], ids=["looped", "vectorized"])
def test_the_gradient_of_the_loss_is_the_same(objective: Objective, model: Any) -> None:
    """Where the policy has moved on since the rollout, so that many actions are clipped."""
    policy, buffer = model.policy, model.rollout_buffer
    start = {name: p.detach().clone() for name, p in policy.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator))
    states = torch.as_tensor(buffer.observations).reshape(STEPS, -1)
    logits = policy.get_distribution(states).distribution.logits
    outputs = torch.cat((logits, policy.predict_values(states)), dim=1).unsqueeze(1)

    def column(values: Any) -> torch.Tensor:
        return torch.as_tensor(np.array(values)).reshape(STEPS, 1)

    minibatch = Minibatch(
        column(buffer.actions).long(), column(buffer.log_probs), column(buffer.advantages), column(buffer.returns)
    )
    ratio = (logits.gather(1, minibatch.actions) - minibatch.log_probs).exp()
    assert float(((ratio - 1).abs() > SETTINGS.clip_range).double().mean()) > 0.2
    named = dict(policy.named_parameters())
    ours = torch.autograd.grad(objective.clipped(outputs, minibatch, SETTINGS), list(named.values()))

    before = {name: p.detach().clone() for name, p in named.items()}
    model.train()
    for name, gradient in zip(named, ours, strict=True):
        step = before[name] - named[name].detach()
        torch.testing.assert_close(step, gradient, rtol=1e-3, atol=1e-5, msg=name)
    policy.load_state_dict(start)

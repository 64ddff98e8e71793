"""Layer ``vectorized-loss``: the objective as tensor operations over (T, N), no Python loops."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from m2bench.baselines.episodes import NUM_ACTIONS
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.objective import RETURN_EPSILON, values_of
from m2bench.baselines.parts import Credit, Minibatch, Objective, Parts, Seen, Trajectory
from m2bench.baselines.ppo_loss import clipped_loss, log_probs_of
from m2bench.baselines.trainer import Trainer

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof


def vectorized_policy_gradient(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    """Mean over episodes of -sum_t log pi(a_t|s_t) A_t, with A normalized within each episode."""
    outputs = torch.stack(trajectory.outputs)
    log_probs = torch.log_softmax(outputs[..., :NUM_ACTIONS], dim=2)
    taken = log_probs_of(log_probs, trajectory.actions)
    values = values_of(trajectory, outputs) if trajectory.has_values else None
    credit = vectorized_credit(trajectory.rewards, None if values is None else values.detach(), settings)
    loss = -(taken * credit.advantages).sum(dim=0).mean()
    if values is None or credit.targets is None:
        return loss
    errors = (values[:-1] - credit.targets).square().sum(dim=0)
    return loss + settings.value_coefficient * errors.mean()


def vectorized_credit(rewards: Tensor, values: Tensor | None, settings: Hyperparameters) -> Credit:
    """The credit of all episodes at once."""
    surprises = rewards if values is None else rewards + settings.discount * values[1:] - values[:-1]
    advantages = discounted_sums(surprises, settings.discount * settings.decay)
    deviation, mean = torch.std_mean(advantages, dim=0, correction=0)
    normalized = (advantages - mean) / (deviation + RETURN_EPSILON)
    return Credit(normalized, None if values is None else advantages + values[:-1])


def discounted_sums(values: Tensor, discount: float) -> Tensor:
    """S_t = sum over k >= t of discount^(k-t) v_k, for values (T, N).

    One product with the triangle of discounts. The shorter ``cumsum(discount^k v_k) / discount^t``
    divides by numbers that vanish when T is long; here they only ever multiply.
    """
    return _discount_triangle(len(values), discount, values.device, values.dtype) @ values


@cache
def _discount_triangle(steps: int, discount: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Row t, column k: discount^(k-t) where k >= t, else 0; shape (T, T). Made in double precision on the host."""
    index = torch.arange(steps, dtype=torch.float64)
    ahead = index.unsqueeze(0) - index.unsqueeze(1)
    weights = torch.where(ahead >= 0, discount ** ahead.clamp(min=0), 0.0)
    return weights.to(dtype).to(device)


VECTORIZED = Objective(vectorized_policy_gradient, vectorized_credit, clipped_loss)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, objective=VECTORIZED)


class _CountOperators(TorchDispatchMode):
    """Counts the operators that reach a device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return func(*args, **(kwargs or {}))


def count_operators(objective: Objective, settings: Hyperparameters, steps: int, episodes: int) -> int:
    """Operators that the objective dispatches on a trajectory of this size, on the host."""
    width = NUM_ACTIONS + settings.with_values
    nothing = torch.zeros(steps, episodes, 0)
    actions, ones = torch.zeros(steps, episodes, dtype=torch.int64), torch.ones(steps, episodes)
    trajectory = Trajectory(
        outputs=[torch.zeros(episodes, width, requires_grad=True) for _ in range(steps)],
        actions=actions,
        rewards=ones,
        seen=Seen(nothing, nothing[-1]),
        last_value=torch.zeros(episodes) if settings.with_values else None,
    )

    def reinforce() -> None:
        objective.policy_gradient(trajectory, settings)

    def ppo() -> None:
        values = torch.zeros(steps + 1, episodes) if settings.with_values else None
        credit = objective.credit(ones, values, settings)
        outputs = torch.zeros(steps, episodes, width, requires_grad=True)
        objective.clipped(outputs, Minibatch(actions, ones, credit.advantages, credit.targets), settings)

    used = ppo if settings.algorithm == "ppo" else reinforce
    used()  # whatever is made once is made before the count
    counter = _CountOperators()
    with counter:
        used()
    return counter.count


def prove(trainer: Trainer) -> Proof:
    objective, settings = trainer.parts.objective, trainer.settings
    small = count_operators(objective, settings, steps=4, episodes=2)
    large = count_operators(objective, settings, steps=16, episodes=8)
    evidence = {"operators_at_4x2": small, "operators_at_16x8": large}
    if small == large:
        return Proof(True, evidence)
    return Proof(False, evidence, f"the objective's operators grow with its size: {small} at 4x2, {large} at 16x8")


LAYER = Layer(
    name="vectorized-loss",
    part="objective",
    summary="returns and loss as tensor operations over steps and episodes",
    claim=Claim(
        low=2, high=3, text="2-3x in the loss", difficulty="medium", priority="high", phase="loss", source=DESIGN_NOTE
    ),
    apply=apply,
    prove=prove,
)

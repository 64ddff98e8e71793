"""Layer ``vectorized-loss``: the objective as tensor operations over (T, N), no Python loops."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from m2bench.baselines.objective import RETURN_EPSILON
from m2bench.baselines.parts import Objective, Parts, Trajectory
from m2bench.baselines.trainer import Trainer

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof


def vectorized_objective(trajectory: Trajectory, discount: float) -> Tensor:
    """Mean over episodes of -sum_t log pi(a_t|s_t) G_t, with G normalized within each episode."""
    log_probs = torch.log_softmax(torch.stack(trajectory.logits), dim=2)
    taken = log_probs.gather(2, trajectory.actions.unsqueeze(2)).squeeze(2)
    returns = discounted_returns(trajectory.rewards, discount)
    deviation, mean = torch.std_mean(returns, dim=0, correction=0)
    normalized = (returns - mean) / (deviation + RETURN_EPSILON)
    return -(taken * normalized).sum(dim=0).mean()


def discounted_returns(rewards: Tensor, discount: float) -> Tensor:
    """G_t = sum over k >= t of discount^(k-t) r_k, for rewards (T, N).

    One product with the triangle of discounts. The shorter ``cumsum(discount^k r_k) / discount^t``
    divides by numbers that vanish when T is long; here they only ever multiply.
    """
    return _discount_triangle(len(rewards), discount, rewards.device, rewards.dtype) @ rewards


@cache
def _discount_triangle(steps: int, discount: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Row t, column k: discount^(k-t) where k >= t, else 0; shape (T, T). Made in double precision on the host."""
    index = torch.arange(steps, dtype=torch.float64)
    ahead = index.unsqueeze(0) - index.unsqueeze(1)
    weights = torch.where(ahead >= 0, discount ** ahead.clamp(min=0), 0.0)
    return weights.to(dtype).to(device)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, objective=vectorized_objective)


class _CountOperators(TorchDispatchMode):
    """Counts the operators that reach a device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return func(*args, **(kwargs or {}))


def count_operators(objective: Objective, steps: int, episodes: int) -> int:
    """Operators that the objective dispatches on a trajectory of this size, on the host."""
    trajectory = Trajectory(
        logits=[torch.zeros(episodes, 3, requires_grad=True) for _ in range(steps)],
        actions=torch.zeros(steps, episodes, dtype=torch.int64),
        rewards=torch.ones(steps, episodes),
    )
    objective(trajectory, 0.99)  # whatever is made once is made before the count
    counter = _CountOperators()
    with counter:
        objective(trajectory, 0.99)
    return counter.count


def prove(trainer: Trainer) -> Proof:
    small = count_operators(trainer.parts.objective, steps=4, episodes=2)
    large = count_operators(trainer.parts.objective, steps=16, episodes=8)
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

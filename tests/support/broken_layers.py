"""Layers with a fault that a careful reader could overlook. Each must be caught, by the check that is named here.

A fault changes a trainer that was composed from working layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from m2bench.baselines.episodes import EpisodeBatch
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.objective import RETURN_EPSILON
from m2bench.baselines.parts import Agent, Float32, Trajectory, all_gradients
from m2bench.baselines.policy import AsymmetricPolicyNetwork, Linear
from m2bench.baselines.trainer import Trainer
from m2bench.optimizations.encode_once import Encoder
from m2bench.optimizations.matmul_sums import SummedNorm, blocks_of, spread
from m2bench.optimizations.vectorized_loss import VECTORIZED, discounted_sums


@dataclass(frozen=True)
class Fault:
    layers: tuple[str, ...]
    check: str
    """What must catch it: a numerics check, ``engaged`` (the proof), ``finite``, or ``reached`` (by the gradient)."""
    plant: Callable[[Trainer], None]


def with_loss(loss: Callable[[Trajectory, Hyperparameters], Tensor]) -> Callable[[Trainer], None]:
    def plant(trainer: Trainer) -> None:
        trainer.parts = replace(trainer.parts, objective=replace(VECTORIZED, policy_gradient=loss))

    return plant


def weighted(trajectory: Trajectory, weights: Tensor) -> Tensor:
    log_probs = torch.log_softmax(torch.stack(trajectory.outputs), dim=2)
    return -(log_probs.gather(2, trajectory.actions.unsqueeze(2)).squeeze(2) * weights).sum(dim=0).mean()


def late_returns(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    """Each action is credited with the return of the next one."""
    return VECTORIZED.policy_gradient(replace(trajectory, rewards=trajectory.rewards.roll(-1, dims=0)), settings)


def normalized_over_the_batch(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    returns = discounted_sums(trajectory.rewards, settings.discount)
    return weighted(trajectory, (returns - returns.mean()) / (returns.std(correction=0) + RETURN_EPSILON))


def sample_deviation(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    """Divides by the standard deviation with Bessel's correction, torch's default."""
    returns = discounted_sums(trajectory.rewards, settings.discount)
    return weighted(trajectory, (returns - returns.mean(dim=0)) / (returns.std(dim=0) + RETURN_EPSILON))


def half_precision_loss(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    """A scale that float16 cannot hold."""
    return VECTORIZED.policy_gradient(trajectory, settings).half() * 60_000.0 * 60_000.0


def half_precision_returns(trajectory: Trajectory, settings: Hyperparameters) -> Tensor:
    return VECTORIZED.policy_gradient(replace(trajectory, rewards=trajectory.rewards.bfloat16()), settings)


class UndividedLoss(Float32):
    def backward(self, loss: Tensor) -> None:
        super().backward(4 * loss)  # what the trainer divided by


class DisabledAutocast:
    """What torch.cuda.amp.autocast does on a machine without CUDA: nothing, without a word."""

    def __init__(self, precision: object):
        self.precision = precision

    def __getattr__(self, name: str) -> object:
        return getattr(self.precision, name)

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=False)


class NeverLeftAutocast(DisabledAutocast):
    """An autocast context that is entered and never left."""

    def autocast(self) -> AbstractContextManager[object]:
        torch.autocast("cpu", dtype=torch.bfloat16).__enter__()
        return torch.autocast("cpu", dtype=torch.bfloat16)


def plant_shared_noise(trainer: Trainer) -> None:
    rollout = trainer.parts.rollout

    class Shared:
        num_envs = rollout.num_envs

        def __getattr__(self, name: str) -> object:
            return getattr(rollout, name)

        def __call__(self, agent: Agent, batch: EpisodeBatch, device: torch.device) -> Trajectory:
            return rollout(agent, replace(batch, noise=batch.noise[:, :1].expand_as(batch.noise)), device)

    trainer.parts = replace(trainer.parts, rollout=Shared())


def plant_stale_policy(trainer: Trainer) -> None:
    """Actions come from a copy of the policy that is never brought up to date; gradients from the policy."""
    stale = deepcopy(trainer.policy)
    policy = trainer.forward

    def forward(states: Tensor) -> Tensor:
        return policy(states) if torch.is_grad_enabled() else stale(states)

    trainer.forward = forward


def plant_frozen_weights(trainer: Trainer) -> None:
    """The forward pass baked the first weights in, as a compiler does that takes them for constants."""
    trainer.forward = deepcopy(trainer.policy)


def plant_fall_back(trainer: Trainer) -> None:
    """Compiles at first, then serves the policy as it is."""
    trainer.forward(torch.zeros(1, 122))
    trainer.forward._compiled = trainer.policy  # type: ignore[attr-defined]


def plant_macro_every_time(trainer: Trainer) -> None:
    trainer.settings = replace(trainer.settings, macro_interval=1)


def plant_kept_gradients(trainer: Trainer) -> None:
    """The macro part's gradient of an update that leaves it alone goes into the next one."""
    micro = [*trainer.micro.parameters]

    def zero_grad(set_to_none: bool = True) -> None:
        for parameter in micro if trainer.updates % 2 else trainer.policy.parameters():
            parameter.grad = None

    trainer.policy.zero_grad = zero_grad  # type: ignore[method-assign]


def plant_wrong_rate(trainer: Trainer) -> None:
    """One learning rate for all, as a single optimizer would have it."""
    trainer.macro.optimizer.param_groups[0]["lr"] = trainer.settings.micro_learning_rate


def plant_no_clipping(trainer: Trainer) -> None:
    for part in (trainer.macro, trainer.micro):
        part.clip_gradient = lambda max_norm: None  # type: ignore[method-assign]


def plant_stream(change: Callable[[Iterator[EpisodeBatch]], Iterator[EpisodeBatch]]) -> Callable[[Trainer], None]:
    def plant(trainer: Trainer) -> None:
        stream = trainer.batches
        stream._batches = change(stream._batches)  # type: ignore[attr-defined]

    return plant


def repeat_episodes(batches: Iterator[EpisodeBatch]) -> Iterator[EpisodeBatch]:
    for batch in batches:
        yield batch
        yield batch


def drop_episodes(batches: Iterator[EpisodeBatch]) -> Iterator[EpisodeBatch]:
    for position, batch in enumerate(batches):
        if position % 3 != 2:
            yield batch


def relabel_episodes(batches: Iterator[EpisodeBatch]) -> Iterator[EpisodeBatch]:
    """The second batch's episodes for ever, under numbers that look right."""
    kept: EpisodeBatch | None = None
    for position, batch in enumerate(batches):
        kept = batch if position == 1 else kept
        yield replace(kept, numbers=batch.numbers) if kept else batch


def plant_stale_encoding(trainer: Trainer) -> None:
    """The market is encoded by a copy of the policy that is never brought up to date."""
    trainer.encode = Encoder(deepcopy(trainer.policy))


def plant_forgotten_account(trainer: Trainer) -> None:
    """Decides by the market alone."""
    decide = trainer.forward
    trainer.forward = lambda states, encoding: decide(torch.zeros_like(states), encoding)


def plant_shifted_features(trainer: Trainer) -> None:
    """Shows each decision what the one before it was shown."""
    feed: Any = trainer.feed
    prepare = feed.prepare

    def shifted(episodes: Sequence[int]) -> EpisodeBatch:
        batch: EpisodeBatch = prepare(episodes)
        return replace(batch, features=batch.features.roll(1, dims=0))

    feed.prepare = shifted


def plant_private_weights(trainer: Trainer) -> None:
    """Replicas keep the weights that they began with."""
    for parameter in trainer.policy.parameters():
        parameter.data = parameter.data.clone()


def plant_lost_gradients(trainer: Trainer) -> None:
    """What the other replicas learn is dropped."""
    replicas: Any = trainer.replicas
    for helper in replicas._helpers:
        helper.gradients = [torch.zeros_like(gradient) for gradient in helper.gradients]


def with_gradients(choose: Callable[[AsymmetricPolicyNetwork, bool], None]) -> Callable[[Trainer], None]:
    def plant(trainer: Trainer) -> None:
        trainer.parts = replace(trainer.parts, gradients=choose)

    return plant


def freeze_micro_as_well(policy: AsymmetricPolicyNetwork, macro_is_due: bool) -> None:
    for parameter in (*policy.macro.parameters(), *policy.micro.parameters()):
        parameter.requires_grad_(macro_is_due)


class ForgetfulNorm(SummedNorm):
    """Its bias has the gradient of every other row."""

    def forward(self, x: Tensor) -> Tensor:
        bias = spread(self.bias, len(x))
        every_other = (torch.arange(len(x), device=x.device) % 2 == 0)[:, None]
        normed = nn.functional.layer_norm(x, self.normalized_shape, self.weight, eps=self.eps)
        return normed + torch.where(every_other, bias, bias.detach())


def plant_half_a_sum(trainer: Trainer) -> None:
    block = blocks_of(trainer.policy)[-1]
    block.norm = ForgetfulNorm(block.norm)


def plant_torchs_own_sums(trainer: Trainer) -> None:
    block = blocks_of(trainer.policy)[0]
    plain = nn.LayerNorm(block.norm.normalized_shape, device="meta")
    plain.weight, plain.bias = block.norm.weight, block.norm.bias
    block.norm = plain


def plant_torchs_own_bias(trainer: Trainer) -> None:
    """Of a product that a stage divides."""
    block = blocks_of(trainer.policy)[-1]
    plain = Linear(block.linear.in_features, block.linear.out_features, device="meta")
    plain.weight, plain.bias = block.linear.weight, block.linear.bias
    block.linear = plain


FAULTS = {
    "returns off by one step": Fault(("vectorized-loss",), "gradient", with_loss(late_returns)),
    "normalization over the batch": Fault(
        ("batching", "vectorized-loss"), "gradient", with_loss(normalized_over_the_batch)
    ),
    "sample instead of population deviation": Fault(("vectorized-loss",), "gradient", with_loss(sample_deviation)),
    "returns in half precision": Fault(("vectorized-loss",), "gradient", with_loss(half_precision_returns)),
    "loss not divided by k": Fault(
        ("grad-accumulation",), "gradient", lambda t: setattr(t, "precision", UndividedLoss(t.device))
    ),
    "weights taken for constants": Fault((), "reached", plant_frozen_weights),
    "noise shared across the batch": Fault(("batching",), "draws", plant_shared_noise),
    "a stale policy in the rollout": Fault(("batching",), "draws", plant_stale_policy),
    "the macro part updated every time": Fault((), "update", plant_macro_every_time),
    "discarded gradients kept": Fault((), "update", plant_kept_gradients),
    "one learning rate for both parts": Fault(("batching",), "update", plant_wrong_rate),
    "gradients not clipped": Fault(("batching",), "update", plant_no_clipping),
    "a worker that repeats episodes": Fault(("dataloader",), "stream", plant_stream(repeat_episodes)),
    "a worker that drops episodes": Fault(("dataloader",), "stream", plant_stream(drop_episodes)),
    "a worker that relabels episodes": Fault(("batching", "dataloader"), "stream", plant_stream(relabel_episodes)),
    "a float16 loss that overflows": Fault(("vectorized-loss",), "finite", with_loss(half_precision_loss)),
    "autocast entered but disabled": Fault(
        ("amp",), "engaged", lambda t: setattr(t, "precision", DisabledAutocast(t.precision))
    ),
    "autocast never left": Fault(
        ("amp",), "engaged", lambda t: setattr(t, "precision", NeverLeftAutocast(t.precision))
    ),
    "an encoding by stale weights": Fault(("batching", "encode-once"), "reached", plant_stale_encoding),
    "decisions that forget the account": Fault(("batching", "encode-once"), "draws", plant_forgotten_account),
    "features of the decision before": Fault(("batching", "native-features"), "stream", plant_shifted_features),
    "the micro part frozen as well": Fault(("frozen-macro",), "reached", with_gradients(freeze_micro_as_well)),
    "the macro part not frozen at all": Fault(("frozen-macro",), "engaged", with_gradients(all_gradients)),
    "half of the rows summed": Fault(("batching", "matmul-sums"), "gradient", plant_half_a_sum),
    "one sum left to torch": Fault(("matmul-sums",), "engaged", plant_torchs_own_sums),
    "one sum left to torch in a stage": Fault(("matmul-sums", "encode-once"), "engaged", plant_torchs_own_bias),
    "replicas with weights of their own": Fault(("batching", "data-parallel"), "gradient", plant_private_weights),
    "gradients of other replicas lost": Fault(("batching", "data-parallel"), "gradient", plant_lost_gradients),
    "a compiled policy that falls back": Fault(("compile",), "engaged", plant_fall_back),
}

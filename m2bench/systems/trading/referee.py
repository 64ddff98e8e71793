"""The referee: what the plain trainer computes in double precision, on fixed episodes with fixed weights.

Prepared once per run. Beside each of its answers stands the plain float32 trainer's on the run's device, so
that a combination is judged by the error that float32 makes anyway.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from m2bench.baselines.algorithms import make_trainer
from m2bench.baselines.episodes import NUM_ACTIONS, EpisodeBatch, EpisodeSource, PreparedMarket
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import Forward, Parts
from m2bench.baselines.policy import make_policy
from m2bench.baselines.rollout import SingleRollout
from m2bench.baselines.trainer import Trainer, baseline_parts

FILE_NAME = "referee.pt"
SEED = 2**62  # beyond any run's
EPISODES = 8  # distinct ones; a larger batch takes them again
PERTURBATION = 0.05  # weights fresh from initialization hide errors: norms are exactly one, their biases zero
# How far a policy has moved on when it learns from what it played, in an algorithm that takes several steps on the same
# episodes: so far that the probabilities of many actions are beyond what PPO clips.
LATER = 0.05
# How near to zero float32 may take the input of a ReLU to the other side; norms make those inputs of order one.
KINK_BAND = 4e-6
ROUNDED = torch.bfloat16
FORCE = 1e4  # noise that outweighs any logit, so that the action is fixed


Weights = dict[str, Tensor]
"""By the names of a policy's parameters."""


@dataclass(frozen=True)
class Answers:
    """What one trainer made of the referee's episodes; D episodes, T steps, P weights in one row.

    ``losses`` (D,) and ``gradients`` (D, P) of single episodes with forced actions; ``outputs`` (T, D, 3 or 4) and
    ``actions`` (T, D) of the same episodes with free draws; ``moved`` (2, P): how far the weights were moved by
    two updates, with the exact gradients of episodes 0 and 1. All float64 but the actions.
    """

    losses: Tensor
    gradients: Tensor
    outputs: Tensor
    actions: Tensor
    moved: Tensor


@dataclass(frozen=True)
class Referee:
    """The weights that all answers are for, the answers in double precision, and those of the plain trainer.

    ``later``: the weights of a policy that learns from what it has played before its latest steps; None where it learns
    once. ``kinks`` (D, number of parameters): how far each parameter's exact gradient jumps, as a norm, when the inputs
    of all ReLUs, and the bounds of what PPO clips, are shifted across KINK_BAND. Where something lies that near to its
    kink, rounding decides on which side, and two right float32 computations differ by the jump.

    ``rounded`` (D, P): the exact gradients but for being rounded to ROUNDED wherever autocast to it rounds.
    """

    weights: Weights
    later: Weights | None
    exact: Answers
    plain: Answers
    kinks: Tensor
    rounded: Tensor

    def save(self, folder: Path) -> None:
        torch.save(asdict(self), folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path) -> Referee:
        document = torch.load(folder / FILE_NAME, weights_only=True, mmap=True)
        exact, plain = Answers(**document["exact"]), Answers(**document["plain"])
        return cls(**{**document, "exact": exact, "plain": plain})


def referee_episodes(market: PreparedMarket, episode_length: int) -> tuple[EpisodeBatch, EpisodeBatch]:
    """The referee's episodes, once with free draws and once with forced actions."""
    free = EpisodeSource(market, episode_length, SEED).prepare_many(range(EPISODES))
    generator = torch.Generator().manual_seed(SEED)
    actions = torch.randint(NUM_ACTIONS, (episode_length, EPISODES), generator=generator)
    return free, replace(free, noise=FORCE * nn.functional.one_hot(actions, NUM_ACTIONS).float())


def prepare_referee(market: PreparedMarket, settings: Hyperparameters, device: torch.device) -> Referee:
    """Ask the plain trainer, in double precision on the host and in single precision on the device."""
    free, forced = referee_episodes(market, settings.episode_length)
    weights, later = _weights(settings)
    source = EpisodeSource(market, settings.episode_length, SEED)
    trainer = make_trainer(_double_parts(), source, settings, SEED, torch.device("cpu"))
    losses, gradients = _learn(trainer, weights, later, forced)
    trainer.policy.load_state_dict(weights)
    exact = _answers(trainer, losses, gradients, free, gradients)
    rounding = make_trainer(replace(_double_parts(), forward=_rounding), source, settings, SEED, torch.device("cpu"))
    return Referee(
        weights,
        later,
        exact=exact,
        plain=ask_plain(market, settings, device, gradients),
        kinks=_kinks(trainer, weights, later, forced),
        rounded=_learn(rounding, weights, later, forced)[1],
    )


def ask_plain(market: PreparedMarket, settings: Hyperparameters, device: torch.device, exact: Tensor) -> Answers:
    """The plain trainer's answers in single precision on the device; ``exact``: the exact gradients (D, P)."""
    free, forced = referee_episodes(market, settings.episode_length)
    source = EpisodeSource(market, settings.episode_length, SEED)
    trainer = make_trainer(baseline_parts(), source, settings, SEED, device)
    weights, later = _weights(settings)
    losses, gradients = _learn(trainer, weights, later, forced)
    trainer.policy.load_state_dict(weights)
    return _answers(trainer, losses, gradients, free, exact)


def learn_from(trainer: Trainer, batch: EpisodeBatch, weights: Weights, later: Weights | None) -> None:
    """Gather the gradient of these episodes, played with some weights, and learned from with ``later`` ones."""
    trainer.policy.load_state_dict(weights)
    if later is None:
        trainer.learn_from(batch)
        return
    trajectory = trainer.collect(batch)
    trainer.policy.load_state_dict(later)
    trainer.learn(trajectory)


def flat(tensors: list[Tensor]) -> Tensor:
    """All in one row, in double precision on the host."""
    return torch.cat([tensor.detach().cpu().double().flatten() for tensor in tensors])


def flat_weights(trainer: Trainer) -> Tensor:
    return flat(list(trainer.policy.parameters()))


def flat_gradient(trainer: Trainer) -> Tensor:
    """Every weight's gradient, (P,); zero where the backward pass reached nothing."""
    return flat([torch.zeros_like(p) if p.grad is None else p.grad for p in trainer.policy.parameters()])


def move_twice(trainer: Trainer, gradients: Tensor) -> Tensor:
    """Two updates with the gradients (2, P); how far each moved the weights, (2, P).

    The gradients take the way of any other: out of a backward pass, scaled where the precision scales.
    """
    moved = []
    for gradient in gradients:
        before = flat_weights(trainer)
        pieces = gradient.split([p.numel() for p in trainer.policy.parameters()])
        products = [
            (p * piece.to(p.dtype).to(p.device).view_as(p)).sum()
            for p, piece in zip(trainer.policy.parameters(), pieces, strict=True)
        ]
        trainer.precision.backward(torch.stack(products).sum())
        trainer.apply_gradient()
        moved.append(flat_weights(trainer) - before)
    return torch.stack(moved)


def _weights(settings: Hyperparameters) -> tuple[Weights, Weights | None]:
    """Those that play, and those that learn where these are others."""
    policy = make_policy(settings.policy_size, SEED, torch.device("cpu"), settings.with_values)
    generator = torch.Generator().manual_seed(SEED)
    weights = _perturbed(policy.state_dict(), PERTURBATION, generator)
    return weights, _perturbed(weights, LATER, generator) if settings.steps_per_update > 1 else None


def _perturbed(weights: Weights, size: float, generator: torch.Generator) -> Weights:
    return {name: w + size * torch.randn(w.shape, generator=generator) for name, w in weights.items()}


def _double_parts() -> Parts:
    return replace(baseline_parts(), rollout=SingleRollout(double=True), forward=_in_double)


def _in_double(policy: nn.Module, device: torch.device) -> Forward:
    return policy.double()


class _Rounded(torch.autograd.Function):
    """Its input, rounded to ROUNDED; the gradient is rounded as well."""

    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        return value.to(ROUNDED).to(value.dtype)

    @staticmethod
    def backward(context: object, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.to(ROUNDED).to(gradient.dtype)


def _rounding(policy: nn.Module, device: torch.device) -> Forward:
    """In double precision, but for what goes into products of matrices and comes out of them, as in autocast."""
    for module in policy.modules():
        if isinstance(module, nn.Linear):
            module.forward = partial(_rounded_product, module)  # type: ignore[method-assign]
    return policy.double()


def _rounded_product(linear: nn.Linear, x: Tensor) -> Tensor:
    x, weight, bias = map(_rounded, (x, linear.weight, linear.bias))
    return _rounded(nn.functional.linear(x, weight, bias))


def _rounded(value: Tensor) -> Tensor:
    rounded: Tensor = _Rounded.apply(value)  # type: ignore[no-untyped-call]
    return rounded


def _answers(trainer: Trainer, losses: Tensor, gradients: Tensor, free: EpisodeBatch, exact: Tensor) -> Answers:
    """With these losses and gradients; the trainer has the referee's weights, which two updates then change."""
    trajectories = [trainer.play(free.take([episode])) for episode in range(EPISODES)]
    return Answers(
        losses=losses,
        gradients=gradients,
        outputs=torch.cat([torch.stack(t.outputs).detach().cpu().double() for t in trajectories], dim=1),
        actions=torch.cat([t.actions.cpu() for t in trajectories], dim=1),
        moved=move_twice(trainer, exact[:2]),
    )


def _learn(trainer: Trainer, weights: Weights, later: Weights | None, forced: EpisodeBatch) -> tuple[Tensor, Tensor]:
    """Losses (D,) and gradients (D, P) of the single episodes."""
    losses, gradients = [], []
    for episode in range(EPISODES):
        trainer.losses = []
        learn_from(trainer, forced.take([episode]), weights, later)
        losses.append(torch.stack(trainer.losses).mean())
        gradients.append(flat_gradient(trainer))
        trainer.policy.zero_grad(set_to_none=True)
    return torch.stack(losses).cpu().double(), torch.stack(gradients)


def _kinks(trainer: Trainer, weights: Weights, later: Weights | None, forced: EpisodeBatch) -> Tensor:
    """See Referee. The input of every ReLU is the output of a norm, so shifting the norms' biases shifts them all."""
    settings, ends = trainer.settings, []
    for shift in (KINK_BAND, -KINK_BAND):
        trainer.settings = replace(settings, clip_range=settings.clip_range + shift)
        ends.append(_learn(trainer, _shifted(weights, shift), later and _shifted(later, shift), forced)[1])
    trainer.settings = settings
    jumps = (ends[0] - ends[1]).split([p.numel() for p in trainer.policy.parameters()], dim=1)
    return torch.stack([jump.norm(dim=1) for jump in jumps], dim=1)


def _shifted(weights: Weights, shift: float) -> Weights:
    return {name: w.double() + shift if name.endswith("norm.bias") else w for name, w in weights.items()}

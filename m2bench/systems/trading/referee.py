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

from m2bench.baselines.episodes import NUM_ACTIONS, EpisodeBatch, EpisodeSource, PreparedMarket
from m2bench.baselines.parts import Forward, Parts
from m2bench.baselines.policy import make_policy
from m2bench.baselines.rollout import SingleRollout
from m2bench.baselines.trainer import Hyperparameters, Trainer, baseline_parts

FILE_NAME = "referee.pt"
SEED = 2**62  # beyond any run's
EPISODES = 8  # distinct ones; a larger batch takes them again
PERTURBATION = 0.05  # weights fresh from initialization hide errors: norms are exactly one, their biases zero
# How near to zero float32 may take the input of a ReLU to the other side; norms make those inputs of order one.
KINK_BAND = 4e-6
ROUNDED = torch.bfloat16
FORCE = 1e4  # noise that outweighs any logit, so that the action is fixed


@dataclass(frozen=True)
class Answers:
    """What one trainer made of the referee's episodes; D episodes, T steps, P weights in one row.

    ``losses`` (D,) and ``gradients`` (D, P) of single episodes with forced actions; ``logits`` (T, D, 3) and
    ``actions`` (T, D) of the same episodes with free draws; ``moved`` (2, P): how far the weights were moved by
    two updates, with the exact gradients of episodes 0 and 1. All float64 but the actions.
    """

    losses: Tensor
    gradients: Tensor
    logits: Tensor
    actions: Tensor
    moved: Tensor


@dataclass(frozen=True)
class Referee:
    """The weights that all answers are for, the answers in double precision, and those of the plain trainer.

    ``kinks`` (D, number of parameters): how far each parameter's exact gradient jumps, as a norm, when the inputs of
    all ReLUs are shifted across KINK_BAND. Where an input lies that near to zero, rounding decides whether the
    unit is on, and two right float32 computations differ by the jump.

    ``rounded`` (D, P): the exact gradients but for being rounded to ROUNDED wherever autocast to it rounds.
    """

    weights: dict[str, Tensor]
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
        return cls(document["weights"], exact, plain, document["kinks"], document["rounded"])


def referee_episodes(market: PreparedMarket, episode_length: int) -> tuple[EpisodeBatch, EpisodeBatch]:
    """The referee's episodes, once with free draws and once with forced actions."""
    free = EpisodeSource(market, episode_length, SEED).prepare_many(range(EPISODES))
    generator = torch.Generator().manual_seed(SEED)
    actions = torch.randint(NUM_ACTIONS, (episode_length, EPISODES), generator=generator)
    return free, replace(free, noise=FORCE * nn.functional.one_hot(actions, NUM_ACTIONS).float())


def prepare_referee(market: PreparedMarket, settings: Hyperparameters, device: torch.device) -> Referee:
    """Ask the plain trainer, in double precision on the host and in single precision on the device."""
    free, forced = referee_episodes(market, settings.episode_length)
    weights = _weights(settings)
    source = EpisodeSource(market, settings.episode_length, SEED)
    trainer = Trainer(_double_parts(), source, settings, SEED, torch.device("cpu"))
    losses, gradients = _learn(trainer, weights, forced)
    exact = _answers(trainer, losses, gradients, free, gradients)
    rounding = Trainer(replace(_double_parts(), forward=_rounding), source, settings, SEED, torch.device("cpu"))
    return Referee(
        weights,
        exact=exact,
        plain=ask_plain(market, settings, device, gradients),
        kinks=_kinks(trainer, weights, forced),
        rounded=_learn(rounding, weights, forced)[1],
    )


def ask_plain(market: PreparedMarket, settings: Hyperparameters, device: torch.device, exact: Tensor) -> Answers:
    """The plain trainer's answers in single precision on the device; ``exact``: the exact gradients (D, P)."""
    free, forced = referee_episodes(market, settings.episode_length)
    source = EpisodeSource(market, settings.episode_length, SEED)
    trainer = Trainer(baseline_parts(), source, settings, SEED, device)
    return _answers(trainer, *_learn(trainer, _weights(settings), forced), free, exact)


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


def _weights(settings: Hyperparameters) -> dict[str, Tensor]:
    policy = make_policy(settings.policy_size, SEED, torch.device("cpu"))
    generator = torch.Generator().manual_seed(SEED)
    return {
        name: weight + PERTURBATION * torch.randn(weight.shape, generator=generator)
        for name, weight in policy.state_dict().items()
    }


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
        logits=torch.cat([torch.stack(t.logits).detach().cpu().double() for t in trajectories], dim=1),
        actions=torch.cat([t.actions.cpu() for t in trajectories], dim=1),
        moved=move_twice(trainer, exact[:2]),
    )


def _learn(trainer: Trainer, weights: dict[str, Tensor], forced: EpisodeBatch) -> tuple[Tensor, Tensor]:
    """Losses (D,) and gradients (D, P) of the single episodes."""
    trainer.policy.load_state_dict(weights)
    trainer.losses = []
    gradients = []
    for episode in range(EPISODES):
        trainer.learn_from(forced.take([episode]))
        gradients.append(flat_gradient(trainer))
        trainer.policy.zero_grad(set_to_none=True)
    return torch.stack(trainer.losses).cpu().double(), torch.stack(gradients)


def _kinks(trainer: Trainer, weights: dict[str, Tensor], forced: EpisodeBatch) -> Tensor:
    """See Referee. The input of every ReLU is the output of a norm, so shifting the norms' biases shifts them all."""
    ends = []
    for shift in (KINK_BAND, -KINK_BAND):
        shifted = {name: w.double() + shift if name.endswith("norm.bias") else w for name, w in weights.items()}
        ends.append(_learn(trainer, shifted, forced)[1])
    jumps = (ends[0] - ends[1]).split([p.numel() for p in trainer.policy.parameters()], dim=1)
    return torch.stack([jump.norm(dim=1) for jump in jumps], dim=1)

"""The gates of a trial: did this combination compute what the plain trainer computes?

Each gate compares with the referee (referee.py) by one rule: the error may be at most ``tolerance`` times the plain
float32 trainer's own error, plus a small ``floor``, both from the loosest contract of the layers that are on. To the
plain trainer's error of a gradient belongs what a ReLU at its kink makes of any rounding. The rule is that of torch's
compiler benchmarks, which judge a result against a float64 run of the same model.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from .baselines.episodes import EpisodeBatch, EpisodeSource
from .baselines.trainer import Trainer
from .optimizations.layer import Contract
from .referee import EPISODES, Referee, flat_gradient, move_twice
from .stream import WatchedStream, digest, stream_fault

# A parameter's error is measured against its own gradient, but not against one that is next to nothing.
SMALLEST_SHARE = 1e-3


@dataclass(frozen=True)
class Verdict:
    """What one gate found; ``reason`` says what is wrong where the combination is not ``same``."""

    same: bool
    evidence: dict[str, Any]
    reason: str | None = None


def check_numerics(
    trainer: Trainer, referee: Referee, contract: Contract, free: EpisodeBatch, forced: EpisodeBatch
) -> dict[str, dict[str, Any]]:
    """The gates that need the trainer's policy for a while; it is given back as it was.

    ``gradient``: loss and every parameter's gradient for forced actions. ``draws``: logits and actions drawn
    freely. ``update``: how two given gradients move the weights, and when the macro part has its turn.
    """
    with _lent(trainer, referee.weights):
        verdicts = {
            "gradient": _check_gradient(trainer, referee, contract, forced),
            "draws": _check_draws(trainer, referee, contract, free),
            "update": _check_update(trainer, referee),
        }
    return {name: asdict(verdict) for name, verdict in verdicts.items()}


def check_stream(stream: WatchedStream, source: EpisodeSource) -> dict[str, dict[str, Any]]:
    """The gate ``stream``: the trainer consumed episodes 0, 1, 2, ... and nothing else."""
    fault = stream_fault(stream, source)
    evidence = {"episodes": len(stream.numbers()), "sha256": digest(stream.first_episodes())}
    return {"stream": asdict(Verdict(fault is None, evidence, fault))}


@contextmanager
def _lent(trainer: Trainer, weights: dict[str, Tensor]) -> Iterator[None]:
    """The trainer with the referee's weights and optimizers without a past; afterwards all is as it was."""
    own = {name: weight.clone() for name, weight in trainer.policy.state_dict().items()}
    optimizers = [trainer.macro.optimizer, trainer.micro.optimizer]
    pasts = [optimizer.state for optimizer in optimizers]
    counts = trainer.updates, trainer.backwards, trainer.steps
    trainer.updates = 0
    for optimizer in optimizers:
        optimizer.state = defaultdict(dict)
    trainer.policy.load_state_dict(weights)
    try:
        yield
    finally:
        trainer.policy.load_state_dict(own)
        for optimizer, past in zip(optimizers, pasts, strict=True):
            optimizer.state = past
        trainer.updates, trainer.backwards, trainer.steps = counts
        trainer.policy.zero_grad(set_to_none=True)


def _check_gradient(trainer: Trainer, referee: Referee, contract: Contract, forced: EpisodeBatch) -> Verdict:
    size, backwards = trainer.parts.rollout.num_envs, trainer.parts.update.backwards
    columns = [episode % EPISODES for episode in range(size * backwards)]
    trainer.losses = []
    for first in range(0, len(columns), size):
        trainer.learn_from(forced.take(columns[first : first + size]))
    for part in (trainer.micro, trainer.macro):
        trainer.precision.unscale(part.optimizer)
    gradient = flat_gradient(trainer)
    trainer.precision.finish_update()
    trainer.policy.zero_grad(set_to_none=True)
    loss = torch.stack(trainer.losses).mean().cpu().double()

    weights = torch.tensor(columns).bincount(minlength=EPISODES).double() / len(columns)
    names = ["loss", *(name for name, _ in trainer.policy.named_parameters())]
    sizes = [p.numel() for p in trainer.policy.parameters()]
    exact, plain = weights @ referee.exact.gradients, weights @ referee.plain.gradients
    errors = [_loss_errors(loss, weights, referee)]
    smallest = SMALLEST_SHARE * exact.norm() / len(exact) ** 0.5
    jumps = weights @ referee.kinks
    for got, plainly, right, jump in zip(
        gradient.split(sizes), plain.split(sizes), exact.split(sizes), jumps, strict=True
    ):
        scale = max(right.norm(), smallest * len(right) ** 0.5)
        # A unit whose input rounds to the other side of zero is no error of the plain trainer's alone.
        plainly_off = (plainly - right).norm() + jump
        errors.append((float((got - right).norm() / scale), float(plainly_off / scale)))
    return _judge(dict(zip(names, errors, strict=True)), contract)


def _loss_errors(loss: Tensor, weights: Tensor, referee: Referee) -> tuple[float, float]:
    right = weights @ referee.exact.losses
    scale = weights @ referee.exact.losses.abs()
    return float((loss - right).abs() / scale), float((weights @ referee.plain.losses - right).abs() / scale)


def _judge(errors: dict[str, tuple[float, float]], contract: Contract) -> Verdict:
    """The rule, for each name's error and the plain trainer's; the worst is the one furthest beyond what it may be."""
    allowed = {name: contract.tolerance * plain + contract.floor for name, (_, plain) in errors.items()}
    excess = {name: error / allowed[name] for name, (error, _) in errors.items()}
    bad = [name for name, value in excess.items() if not value <= 1]  # also catches what is not a number
    worst = max(bad or excess, key=lambda name: (excess[name] != excess[name], excess[name]))
    error, plain = errors[worst]
    evidence = {
        "worst": worst,
        "error": _finite(error),
        "plain_error": plain,
        "allowed": allowed[worst],
        "largest_error": _finite(max((error for error, _ in errors.values()), key=lambda e: (e != e, e))),
    }
    if not bad:
        return Verdict(True, evidence)
    others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return Verdict(
        False, evidence, f"{worst}{others} is off by {error:.2g} of its size, where {allowed[worst]:.2g} is allowed"
    )


def _finite(value: float) -> float | None:
    """None for what JSON cannot hold."""
    return value if math.isfinite(value) else None


def _check_draws(trainer: Trainer, referee: Referee, contract: Contract, free: EpisodeBatch) -> Verdict:
    columns = [episode % EPISODES for episode in range(trainer.parts.rollout.num_envs)]
    batch = free.take(columns)
    trajectory = trainer.play(batch)
    logits = torch.stack(trajectory.logits).detach().cpu().double()
    actions = trajectory.actions.cpu()
    right_logits, right_actions = referee.exact.logits[:, columns], referee.exact.actions[:, columns]

    comparable = _until_first_difference(actions, right_actions)
    plainly = _until_first_difference(referee.plain.actions, referee.exact.actions)
    size = referee.exact.logits.square().mean().sqrt()
    error = (logits - right_logits).abs()[comparable].max() / size
    plain = (referee.plain.logits - referee.exact.logits).abs()[plainly].max() / size
    verdict = _judge({"logits": (float(error), float(plain))}, contract)

    differs = comparable & (actions != right_actions)
    best = (right_logits + batch.noise).topk(2, dim=2).values
    # Two logits may err in opposite directions, each by as much as the worst of them all.
    tie = (best[..., 0] - best[..., 1]) <= 2 * error * size
    evidence = {**verdict.evidence, "draws": int(comparable.sum()), "rounding_ties": int((differs & tie).sum())}
    wrong = int((differs & ~tie).sum())
    if wrong:
        return Verdict(
            False, evidence, f"{wrong} of {len(columns)} episodes draw an action that rounding cannot explain"
        )
    return Verdict(verdict.same, evidence, verdict.reason)


def _until_first_difference(actions: Tensor, others: Tensor) -> Tensor:
    """True (T, N) up to and with an episode's first different action: what follows is another episode."""
    differences = (actions != others).cumsum(dim=0)
    before = torch.cat((torch.zeros_like(differences[:1]), differences[:-1]))
    return before == 0


def _check_update(trainer: Trainer, referee: Referee) -> Verdict:
    """Both updates get the referee's gradients, so the layers' own precision does not matter here."""
    # The referee takes one episode per update; Adam's steps are proportional to the learning rate.
    moved = move_twice(trainer, referee.exact.gradients[:2]) / trainer.rate_factor
    is_macro = torch.cat(
        [torch.full((p.numel(),), name.startswith("macro.")) for name, p in trainer.policy.named_parameters()]
    )
    schedule = [bool(step[is_macro].any()) for step in moved]
    expected = [bool(step[is_macro].any()) for step in referee.exact.moved]
    if schedule != expected:
        reason = f"of two updates the macro part moved in {_which(schedule)}, where {_which(expected)} is right"
        return Verdict(False, {"macro_moved": schedule}, reason)
    errors = {
        f"update {number} of {part}": (_relative(got[mask], right[mask]), _relative(plain[mask], right[mask]))
        for number, (got, plain, right) in enumerate(
            zip(moved, referee.plain.moved, referee.exact.moved, strict=True), 1
        )
        for part, mask in (("macro", is_macro), ("micro", ~is_macro))
    }
    verdict = _judge(errors, Contract())
    return Verdict(verdict.same, {**verdict.evidence, "macro_moved": schedule}, verdict.reason)


def _relative(got: Tensor, right: Tensor) -> float:
    return float((got - right).norm() / right.norm()) if right.any() else float(got.norm())


def _which(moved: list[bool]) -> str:
    return " and ".join(str(number) for number, did in enumerate(moved, 1) if did) or "none"

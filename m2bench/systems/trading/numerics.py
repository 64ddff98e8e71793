"""The numerics checks: does the device compute right, and does a combination compute what the plain trainer computes?

Each check compares with the referee (referee.py) by one rule: the error may be at most ``tolerance`` times the plain
float32 trainer's own error, plus a small ``floor``, both from the loosest contract of the layers that are on, and
never more than a limit that no device has a say in. To it is added what a ReLU at its kink makes of any rounding. The
rule is that of torch's compiler benchmarks, which judge a result against a float64 run of the same model; the limit is
there because such a rule alone passes everything on a device whose plain float32 is wrong.

Before any trial the plain trainer itself is held to the limits. See docs/decisions/016-when-a-device-is-wrong.md.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from m2bench.baselines.episodes import NUM_ACTIONS, EpisodeBatch, EpisodeSource
from m2bench.baselines.parts import all_gradients
from m2bench.baselines.trainer import Trainer
from m2bench.optimizations.layer import Contract
from m2bench.records.results import NumericsCheck

from .referee import EPISODES, ROUNDED, Referee, flat_gradient, learn_from, move_twice
from .stream import WatchedStream, digest, stream_fault

MACRO = "macro"
# A parameter's error is measured against its own gradient, but not against one that is next to nothing.
SMALLEST_SHARE = 1e-3

# What sound arithmetic can be off by, relative. Of a gradient and of logits 1e-6 is usual in float32, and TF32 would
# come to 1e-2: half-way, as a ratio. A loss is added up step by step, by which its error grows with the episode. A
# weight of size 1 that Adam moves by 1e-4 is rounded to 6e-8, which is 6e-4 of its way.
LIMITS = {"loss": 1e-3, "gradient": 1e-4, "logits": 1e-4, "update": 1e-3}
# The same for a coarser number format, in its own epsilons. The terms of a policy gradient largely cancel.
LIMITS_IN_EPSILONS = {"loss": 32.0, "gradient": 256.0, "logits": 32.0, "update": 0.0}
# As a multiple of what rounding alone makes of the gradient. Sound bfloat16 comes to 1.3 of it.
MOST_OF_ROUNDING = 2.0
# The limits alone: no error of the device itself is forgiven, nor any multiple of it.
ABSOLUTE = Contract(floor=math.inf)


class _Error(NamedTuple):
    """Of one quantity, relative: that of what is judged, the plain trainer's on this device, what kinks explain.

    ``rounded``: what rounding to bfloat16 makes of exact arithmetic (referee.ROUNDED).
    """

    kind: str
    found: float
    plain: float
    kinks: float = 0.0
    rounded: float = 0.0


@dataclass(frozen=True)
class _Rule:
    """What an error may come to: the contract of the layers, and the format of their matrix products.

    ``capped``: by the limits. Not on a device that is known to compute wrongly, where only the user's consent lets a
    trial run: there a combination is compared with the plain trainer alone.
    """

    contract: Contract
    dtype: torch.dtype = torch.float32
    capped: bool = True

    def allowed(self, error: _Error) -> float:
        allowed = self.contract.tolerance * error.plain + self.contract.floor
        if self.dtype is ROUNDED:
            allowed = max(allowed, MOST_OF_ROUNDING * error.rounded)
        if self.capped:
            in_epsilons = LIMITS_IN_EPSILONS[error.kind] * torch.finfo(self.dtype).eps
            allowed = min(allowed, max(LIMITS[error.kind], in_epsilons))
        return allowed + self.contract.tolerance * error.kinks

    def excess(self, error: _Error) -> float:
        """The error as a multiple of what is allowed; infinite for what is not a number."""
        excess = error.found / self.allowed(error)
        return math.inf if math.isnan(excess) else excess


def check_device(referee: Referee, free: EpisodeBatch) -> list[str]:
    """What the plain trainer in single precision on the device gets wrong by more than sound arithmetic can.

    A sentence for each check that finds something, with the quantity that is furthest off. Gradients are judged episode
    by episode: what is near a kink in one is far from it in another.
    """
    rule, plain = _Rule(ABSOLUTE), referee.plain
    episodes = [
        _gradient_errors(referee, weights, loss, gradient)
        for weights, loss, gradient in zip(
            torch.eye(EPISODES, dtype=torch.float64), plain.losses, plain.gradients, strict=True
        )
    ]
    gradients = {name: max((errors[name] for errors in episodes), key=rule.excess) for name in episodes[0]}
    checks = {
        "gradient": _judge(gradients, rule),
        "draws": _judge_draws(referee, rule, free, list(range(EPISODES)), plain.outputs, plain.actions),
        "update": _judge_update(referee, rule, plain.moved),
    }
    return [f"{name}: {check.reason}" for name, check in checks.items() if check.reason is not None]


def check_numerics(
    trainer: Trainer, referee: Referee, contract: Contract, free: EpisodeBatch, forced: EpisodeBatch
) -> dict[str, NumericsCheck]:
    """The checks that need the trainer's policy for a while; it is given back as it was.

    ``gradient``: loss and every parameter's gradient for forced actions. ``draws``: logits and actions drawn
    freely. ``update``: how two given gradients move the weights, and when the macro part has its turn.
    """
    capped = not check_device(referee, free)
    rule = _Rule(contract, trainer.precision.dtype, capped)
    with _lent(trainer, referee.weights):
        return {
            "gradient": _check_gradient(trainer, referee, rule, forced),
            "draws": _check_draws(trainer, referee, rule, free),
            # Both updates get the referee's gradients, so the layers' own precision does not matter here.
            "update": _check_update(trainer, referee, _Rule(Contract(), capped=capped)),
        }


def check_stream(stream: WatchedStream, source: EpisodeSource) -> dict[str, NumericsCheck]:
    """The check ``stream``: the trainer consumed episodes 0, 1, 2, ... and nothing else."""
    fault = stream_fault(stream, source)
    evidence = {"episodes": len(stream.numbers()), "sha256": digest(stream.first_episodes())}
    return {"stream": NumericsCheck(fault is None, evidence, fault)}


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


def _check_gradient(trainer: Trainer, referee: Referee, rule: _Rule, forced: EpisodeBatch) -> NumericsCheck:
    """In an update with all parts; and in one without the macro part, where that has a gradient of its own."""
    errors: dict[str, _Error] = {}
    if trainer.parts.gradients is not all_gradients:
        without = _learn_forced(trainer, referee, forced)
        errors = {f"{name} without {MACRO}": e for name, e in without.items() if not name.startswith(MACRO)}
    trainer.updates = trainer.settings.macro_interval - 1
    errors |= _learn_forced(trainer, referee, forced)
    trainer.updates = 0
    return _judge(errors, rule)


def _learn_forced(trainer: Trainer, referee: Referee, forced: EpisodeBatch) -> dict[str, _Error]:
    """Errors of the loss and the gradient over as many episodes as an update has."""
    size, backwards = trainer.parts.rollout.num_envs, trainer.parts.update.backwards
    columns = [episode % EPISODES for episode in range(size * backwards)]
    trainer.losses = []
    for first in range(0, len(columns), size):
        learn_from(trainer, forced.take(columns[first : first + size]), referee.weights, referee.later)
    trainer.policy.load_state_dict(referee.weights)
    for part in (trainer.micro, trainer.macro):
        trainer.precision.unscale(part.optimizer)
    gradient = flat_gradient(trainer)
    trainer.precision.finish_update()
    trainer.policy.zero_grad(set_to_none=True)
    loss = torch.stack(trainer.losses).mean().cpu().double()
    weights = torch.tensor(columns).bincount(minlength=EPISODES).double() / len(columns)
    return _gradient_errors(referee, weights, loss, gradient)


def _gradient_errors(referee: Referee, weights: Tensor, loss: Tensor, gradient: Tensor) -> dict[str, _Error]:
    """Of a mean loss and its gradient (P,) over the referee's episodes, which have these weights (D,) in it."""
    exact, plain = weights @ referee.exact.gradients, weights @ referee.plain.gradients
    sizes = [weight.numel() for weight in referee.weights.values()]
    errors = {"loss": _loss_error(referee, weights, loss)}
    smallest = SMALLEST_SHARE * exact.norm() / len(exact) ** 0.5
    jumps = weights @ referee.kinks
    rounded = weights @ referee.rounded
    each = (*(values.split(sizes) for values in (gradient, plain, exact, rounded)), jumps)
    for name, got, plainly, right, rough, jump in zip(referee.weights, *each, strict=True):
        scale = max(right.norm(), smallest * len(right) ** 0.5)
        # A unit whose input rounds to the other side of zero is no error of the plain trainer's alone.
        norms = ((got - right).norm(), (plainly - right).norm(), jump, (rough - right).norm())
        errors[name] = _Error("gradient", *(float(norm / scale) for norm in norms))
    return errors


def _loss_error(referee: Referee, weights: Tensor, loss: Tensor) -> _Error:
    """Measured against the usual size of a loss, since that of one episode may happen to be next to nothing."""
    right, scale = weights @ referee.exact.losses, referee.exact.losses.abs().mean()
    plain = weights @ referee.plain.losses
    return _Error("loss", float((loss - right).abs() / scale), float((plain - right).abs() / scale))


def _judge(errors: dict[str, _Error], rule: _Rule) -> NumericsCheck:
    """The rule, for each name's error; the worst is the one furthest beyond what it may be."""
    bad = [name for name, error in errors.items() if rule.excess(error) > 1]
    worst = max(errors, key=lambda name: rule.excess(errors[name]))
    error, allowed = errors[worst], rule.allowed(errors[worst])
    evidence = {
        "worst": worst,
        "error": _finite(error.found),
        "plain_error": _finite(error.plain),
        "kinks": error.kinks,
        "allowed": _finite(allowed),
        "largest_error": _finite(max((error.found for error in errors.values()), key=lambda e: (math.isnan(e), e))),
    }
    if not bad:
        return NumericsCheck(True, evidence)
    others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    reason = f"{worst}{others} is off by {error.found:.2g} of its size, where {allowed:.2g} is allowed"
    return NumericsCheck(False, evidence, reason)


def _finite(value: float) -> float | None:
    """None for what JSON cannot hold."""
    return value if math.isfinite(value) else None


def _check_draws(trainer: Trainer, referee: Referee, rule: _Rule, free: EpisodeBatch) -> NumericsCheck:
    # As many as one replica plays: for another number what is compiled would be compiled again.
    columns = [episode % EPISODES for episode in range(trainer.parts.rollout.num_envs // trainer.replicas.count)]
    trajectory = trainer.play(free.take(columns))
    outputs = torch.stack(trajectory.outputs).detach().cpu().double()
    return _judge_draws(referee, rule, free, columns, outputs, trajectory.actions.cpu())


def _judge_draws(
    referee: Referee, rule: _Rule, free: EpisodeBatch, columns: list[int], outputs: Tensor, actions: Tensor
) -> NumericsCheck:
    """Outputs (T, N, 3 or 4) and actions (T, N) of the referee's episodes in these columns."""
    right_outputs, right_actions = referee.exact.outputs[:, columns], referee.exact.actions[:, columns]
    comparable = _until_first_difference(actions, right_actions)
    plainly = _until_first_difference(referee.plain.actions, referee.exact.actions)
    size = referee.exact.outputs.square().mean().sqrt()
    error = (outputs - right_outputs).abs()[comparable].max() / size
    plain = (referee.plain.outputs - referee.exact.outputs).abs()[plainly].max() / size
    check = _judge({"logits": _Error("logits", float(error), float(plain))}, rule)

    differs = comparable & (actions != right_actions)
    best = (right_outputs[..., :NUM_ACTIONS] + free.take(columns).noise).topk(2, dim=2).values
    # Two logits may err in opposite directions, each by as much as the worst of them all.
    tie = (best[..., 0] - best[..., 1]) <= 2 * error * size
    evidence = {**check.evidence, "draws": int(comparable.sum()), "rounding_ties": int((differs & tie).sum())}
    wrong = int((differs & ~tie).sum())
    if wrong:
        return NumericsCheck(
            False, evidence, f"{wrong} of {len(columns)} episodes draw an action that rounding cannot explain"
        )
    return NumericsCheck(check.same, evidence, check.reason)


def _until_first_difference(actions: Tensor, others: Tensor) -> Tensor:
    """True (T, N) up to and with an episode's first different action: what follows is another episode."""
    differences = (actions != others).cumsum(dim=0)
    before = torch.cat((torch.zeros_like(differences[:1]), differences[:-1]))
    return before == 0


def _check_update(trainer: Trainer, referee: Referee, rule: _Rule) -> NumericsCheck:
    # The referee takes one episode per update; Adam's steps are proportional to the learning rate.
    return _judge_update(referee, rule, move_twice(trainer, referee.exact.gradients[:2]) / trainer.rate_factor)


def _judge_update(referee: Referee, rule: _Rule, moved: Tensor) -> NumericsCheck:
    """How far two updates moved the weights, (2, P)."""
    is_macro = torch.cat(
        [torch.full((weight.numel(),), name.startswith(MACRO)) for name, weight in referee.weights.items()]
    )
    schedule = [bool(step[is_macro].any()) for step in moved]
    expected = [bool(step[is_macro].any()) for step in referee.exact.moved]
    if schedule != expected:
        reason = f"of two updates the macro part moved in {_which(schedule)}, where {_which(expected)} is right"
        return NumericsCheck(False, {"macro_moved": schedule}, reason)
    errors = {
        f"update {number} of {part}": _Error(
            "update", _relative(got[mask], right[mask]), _relative(plain[mask], right[mask])
        )
        for number, (got, plain, right) in enumerate(
            zip(moved, referee.plain.moved, referee.exact.moved, strict=True), 1
        )
        for part, mask in (("macro", is_macro), ("micro", ~is_macro))
    }
    check = _judge(errors, rule)
    return NumericsCheck(check.same, {**check.evidence, "macro_moved": schedule}, check.reason)


def _relative(got: Tensor, right: Tensor) -> float:
    return float((got - right).norm() / right.norm()) if right.any() else float(got.norm())


def _which(moved: list[bool]) -> str:
    return " and ".join(str(number) for number, did in enumerate(moved, 1) if did) or "none"

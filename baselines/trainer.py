"""The trainer: REINFORCE with asymmetric macro and micro updates, assembled from parts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from .episodes import EpisodeBatch, EpisodeSource
from .hyperparameters import Hyperparameters
from .objective import LOOPED
from .parts import (
    Agent,
    Alone,
    DirectFeed,
    Float32,
    Forward,
    Parts,
    Trajectory,
    UpdateRule,
    all_gradients,
    as_torch_sums,
    policy_as_it_is,
    undivided,
)
from .phases import phase
from .policy import make_policy
from .rollout import SingleRollout, make_python_loop


def baseline_parts() -> Parts:
    """The plain trainer: every part as a careful user of PyTorch would first write it."""
    return Parts(
        feed=DirectFeed,
        rollout=SingleRollout(),
        forward=policy_as_it_is,
        precision=Float32,
        objective=LOOPED,
        update=UpdateRule(),
        stages=undivided,
        loop=make_python_loop,
        preparation=EpisodeSource.prepare_many,
        gradients=all_gradients,
        sums=as_torch_sums,
        replicas=Alone,
    )


class NotFiniteError(RuntimeError):
    """A loss or a gradient is not a finite number: from here on nothing that is learned means anything."""


class Trainer:
    """Trains one policy by REINFORCE with the given parts on a source's training episodes, from episode 0 on.

    ``feed_wait_s`` counts the seconds spent waiting for episodes.
    """

    def __init__(self, parts: Parts, source: EpisodeSource, settings: Hyperparameters, seed: int, device: torch.device):
        self.parts = parts
        self.settings = settings
        self.seed = seed
        self.device = device
        self.policy = make_policy(settings.policy_size, seed, device, settings.with_values)
        parts.sums(self.policy)
        stages = parts.stages(self.policy)
        self.forward = parts.forward(stages.decide, device)
        self.encode = None if stages.encode is None else parts.forward(stages.encode, device)
        self.loop = parts.loop(stages.decide, device)
        self.precision = parts.precision(device)
        self.prepare = partial(parts.preparation, source)
        self.rate_factor = settings.rate_factor(parts.episodes_per_update)
        names = {parameter: name for name, parameter in self.policy.named_parameters()}
        rest = nn.ModuleList([self.policy.micro, self.policy.head])
        self.macro = PolicyPart(self.policy.macro, settings.macro_learning_rate * self.rate_factor, names)
        self.micro = PolicyPart(rest, settings.micro_learning_rate * self.rate_factor, names)
        self.updates = 0
        """Optimizer steps so far, by which the macro part has its turn."""
        self.backwards = 0
        self.steps = 0
        """Backward passes, and optimizer steps made of them, since somebody began to count."""
        self.discarded = 0
        """Updates that computed a gradient of the macro part and threw it away, since somebody began to count."""
        self.plays = 0
        self.encodings = 0
        self.encoded_steps = 0
        """Rollouts, their passes of the encoding stage, and the steps in these, since somebody began to count."""
        self.losses: list[Tensor] = []
        """Loss of each backward pass of the last update, on the device."""
        self.stepped: list[PolicyPart] = []
        """What the last step updated."""
        self.feed_wait_s = 0.0
        self.replicas = parts.replicas(self)
        self.feed = parts.feed(self.replicas.prepare, parts.rollout.num_envs, device)
        self.batches: Iterator[EpisodeBatch] = iter(self.feed)

    @property
    def episodes(self) -> int:
        """Episodes learned from so far."""
        return self.updates // self.settings.steps_per_update * self.parts.episodes_per_update

    @property
    def called(self) -> list[Forward]:
        """The stages of the policy, as rollouts call them."""
        return [self.forward] if self.encode is None else [self.encode, self.forward]

    def update(self) -> Tensor:
        """Learn from the next episodes; returns their mean reward per episode, on the device."""
        self.losses = []
        returns = [self.gather_gradient() for _ in range(self.parts.update.backwards)]
        self.apply_gradient()
        return torch.stack(returns).mean()

    def close(self) -> None:
        self.feed.close()
        self.replicas.close()

    def gather_gradient(self) -> Tensor:
        """One backward pass on the next ``num_envs`` episodes; their mean reward per episode, on the device."""
        return self.learn_from(self.next_batch())

    def next_batch(self) -> EpisodeBatch:
        """The next ``num_envs`` episodes."""
        with phase("feed"):
            start = time.perf_counter()
            batch = next(self.batches)
            self.feed_wait_s += time.perf_counter() - start
        return batch

    def learn_from(self, batch: EpisodeBatch) -> Tensor:
        """Gather the gradient of these episodes; their mean reward per episode, on the device."""
        return self.replicas.learn(self, batch)

    def learn_alone(self, batch: EpisodeBatch) -> Tensor:
        """What a replica does: the same with its share of the episodes."""
        trajectory = self.collect(batch)
        self.learn(trajectory)
        return mean_return(trajectory)

    def collect(self, batch: EpisodeBatch) -> Trajectory:
        """Play these episodes to ``learn`` from them."""
        self.parts.gradients(self.policy, self.macro_is_due)
        return self.play(batch)

    def learn(self, trajectory: Trajectory) -> None:
        """One backward pass."""
        with phase("loss"):
            loss = self.parts.objective.policy_gradient(trajectory, self.settings)
        self.backward(loss)

    def play(self, batch: EpisodeBatch) -> Trajectory:
        """Play these episodes."""
        agent = Agent(self.forward, None if self.encode is None else self._encode, self.loop, self.settings.looks_back)
        if self.settings.with_values:
            # A value is no action: it is never the largest.
            batch = replace(batch, noise=nn.functional.pad(batch.noise, (0, 1), value=-math.inf))
        self.plays += 1
        with self.precision.autocast():
            trajectory = self.parts.rollout(agent, batch, self.device)
        return self._with_last_value(trajectory) if self.settings.with_values else trajectory

    def _with_last_value(self, trajectory: Trajectory) -> Trajectory:
        seen = trajectory.seen
        assert seen is not None
        with torch.no_grad():
            outputs = self.look_at(seen.last_state, None if seen.features is None else seen.features[-1])
        return replace(trajectory, last_value=outputs[:, -1].to(trajectory.rewards.dtype))

    def look_at(self, states: Tensor, features: Tensor | None) -> Tensor:
        """What the policy makes of states (M, S); ``features`` (M, 120) of their markets, where these are encoded."""
        with self.precision.autocast(), phase("forward"):
            encodings = () if features is None or self.encode is None else (self.encode(features),)
            return self.forward(states, *encodings)

    def _encode(self, features: Tensor) -> Tensor:
        assert self.encode is not None
        self.encodings += 1
        self.encoded_steps += len(features)
        return self.encode(features)

    def backward(self, loss: Tensor) -> None:
        """One of the backward passes of a step."""
        with phase("backward"):
            self.precision.backward(loss / (self.parts.update.backwards * self.replicas.count))
        self.losses.append(loss.detach())
        self.backwards += 1

    @property
    def macro_is_due(self) -> bool:
        """Whether the macro part has its turn in the update under way."""
        return (self.updates + 1) % self.settings.macro_interval == 0

    def apply_gradient(self) -> None:
        """One optimizer step with what has been gathered."""
        self.stepped = [self.micro, self.macro] if self.macro_is_due else [self.micro]
        self.discarded += self.macro not in self.stepped and self.macro.has_gradient
        self.updates += 1
        self.steps += 1
        for part in self.stepped:
            with phase("optimizer"):
                self.precision.unscale(part.optimizer)
            with phase("clip"):
                part.clip_gradient(self.settings.clip_norm)
            with phase("optimizer"):
                self.precision.step(part.optimizer)
        with phase("optimizer"):
            self.precision.finish_update()
            # The macro part's gradient of an update that leaves it alone is discarded with the rest.
            self.policy.zero_grad(set_to_none=True)

    def check_finite(self) -> None:
        """Raise NotFiniteError when the last update's loss or gradient was not finite. Waits for the device."""
        norms = [part.gradient_norms for part in self.stepped]
        if bool(torch.cat([*norms, torch.stack(self.losses)]).isfinite().all()):
            return
        losses = [float(loss) for loss in self.losses]
        if all(map(math.isfinite, losses)) and self.precision.forgives_overflow():
            return
        bad = [
            name
            for part in reversed(self.stepped)  # macro first, as in the policy
            for name, norm in zip(part.names, part.gradient_norms.tolist(), strict=True)
            if not math.isfinite(norm)
        ]
        wrong = f"the gradient of {bad[0]}" if bad else "the loss"
        raise NotFiniteError(f"update {self.updates}: {wrong} is not finite (loss {losses[-1]:g})")


def mean_return(trajectory: Trajectory) -> Tensor:
    """Mean reward per episode, on the device."""
    return trajectory.rewards.sum(dim=0).mean()


class PolicyPart:
    """The parameters that share a learning rate, and their optimizer."""

    def __init__(self, module: nn.Module, learning_rate: float, names: dict[nn.Parameter, str]):
        self.parameters = list(module.parameters())
        self.names = [names[parameter] for parameter in self.parameters]
        self.gradient_norms = torch.zeros(len(self.parameters))
        # Fused in every combination: on MPS the default would launch one kernel per tensor and operation.
        self.optimizer = torch.optim.Adam(self.parameters, lr=learning_rate, fused=True)

    @property
    def has_gradient(self) -> bool:
        return any(parameter.grad is not None for parameter in self.parameters)

    def clip_gradient(self, max_norm: float) -> None:
        """Scale the part's gradient down to norm ``max_norm``; leaves each parameter's norm before that.

        What ``clip_grad_norm_`` does, which keeps the norms to itself. Raises RuntimeError for a parameter that no
        gradient has reached.
        """
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if len(gradients) < len(self.parameters):
            without = next(n for n, p in zip(self.names, self.parameters, strict=True) if p.grad is None)
            raise RuntimeError(f"no gradient has reached {without}: the forward pass does not use the policy's weights")
        self.gradient_norms = torch.stack(torch._foreach_norm(gradients))
        nn.utils.clip_grads_with_norm_(self.parameters, max_norm, torch.linalg.vector_norm(self.gradient_norms))

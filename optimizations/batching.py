"""Layer ``batching``: many episodes at once as tensors, one forward pass for all of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from m2bench.baselines.environment import BatchedTradingEnv
from m2bench.baselines.episodes import EpisodeBatch
from m2bench.baselines.parts import Forward, Parts, Trajectory
from m2bench.baselines.phases import phase
from m2bench.baselines.trainer import Trainer
from m2bench.devices import torch_device

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof


class BatchedRollout:
    """Plays ``num_envs`` episodes side by side; nothing in it waits for the device.

    Playing needs no gradients: they come from one forward pass over all T * N states afterwards,
    which gives the same logits. See docs/decisions/003-batched-gradients.md.
    """

    def __init__(self, num_envs: int):
        self.num_envs = num_envs
        self.environments_per_forward: set[int] = set()

    def __call__(self, forward: Forward, batch: EpisodeBatch, device: torch.device) -> Trajectory:
        with torch.no_grad():
            states, actions, rewards = self._play(forward, batch, device)
        # Weights that autocast converted without gradients must not serve the pass that needs them
        # (pytorch/pytorch#48049).
        torch.clear_autocast_cache()
        with phase("forward"):
            logits = forward(states.flatten(0, 1)).float()
        return Trajectory(logits=list(logits.unflatten(0, states.shape[:2]).unbind()), actions=actions, rewards=rewards)

    def _play(self, forward: Forward, batch: EpisodeBatch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """States (T, N, 122) seen, actions (T, N) taken and rewards (T, N) received."""
        with phase("copy"):
            noise = torch_device.to_device(batch.noise, device)
            features = torch_device.to_device(batch.features, device)
            price_changes = torch_device.to_device(batch.price_changes, device)
        env = BatchedTradingEnv()
        with phase("environment"):
            state = env.reset(features, price_changes)
        states: list[Tensor] = []
        actions: list[Tensor] = []
        rewards: list[Tensor] = []
        done = False
        while not done:
            states.append(state)
            with phase("forward"):
                logits = forward(state)
            with phase("draw"):
                action = (logits.float() + noise[len(actions)]).argmax(dim=1)
            with phase("environment"):
                state, reward, done = env.step(action)
            actions.append(action)
            rewards.append(reward)
        self.environments_per_forward.add(logits.shape[0])
        return torch.stack(states), torch.stack(actions), torch.stack(rewards)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, rollout=BatchedRollout(options.num_envs))


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    assert isinstance(trainer.parts.rollout, BatchedRollout)
    trainer.parts.rollout.environments_per_forward.clear()
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    seen = sorted(getattr(trainer.parts.rollout, "environments_per_forward", ()))
    evidence = {"environments_per_forward": seen}
    if len(seen) == 1 and seen[0] > 1:
        return Proof(True, evidence)
    return Proof(False, evidence, f"forward passes served {seen or 'no'} environments, not one constant number above 1")


LAYER = Layer(
    name="batching",
    part="rollout",
    summary="num_envs episodes as tensors, one forward for all",
    claim=Claim(low=10, high=20, text="10-20x", difficulty="high", priority="critical", source=DESIGN_NOTE),
    compiled_apart=True,
    apply=apply,
    prove=prove,
    timed=timed,
)

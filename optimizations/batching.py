"""Layer ``batching``: many episodes at once as tensors, one forward pass for all of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from m2bench.baselines.episodes import EpisodeBatch
from m2bench.baselines.parts import Agent, Market, Parts, Seen, Trajectory
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

    def __call__(self, agent: Agent, batch: EpisodeBatch, device: torch.device) -> Trajectory:
        with phase("copy"):
            noise = torch_device.to_device(batch.noise, device)
            features = torch_device.to_device(batch.features, device)
            price_changes = torch_device.to_device(batch.price_changes, device)
        market = Market(features, price_changes, noise, None)
        encodings: tuple[Tensor, ...] = ()
        if agent.encode is not None:
            with phase("forward"):
                encodings = (agent.encode(features.flatten(0, 1)),)
            # A state need not show the features that are encoded.
            encoding = encodings[0].detach().unflatten(0, noise.shape[:2])
            market = replace(market, features=features[:, :, :0], encoding=encoding)
        with torch.no_grad():
            played = agent.loop(agent.decide, market)
        # Weights that autocast converted without gradients must not serve the pass that needs them
        # (pytorch/pytorch#48049).
        torch.clear_autocast_cache()
        with phase("forward"):
            outputs = agent.decide(played.states.flatten(0, 1), *encodings).float()
        self.environments_per_forward.add(played.actions.shape[1])
        return Trajectory(
            outputs=list(outputs.unflatten(0, played.actions.shape).unbind()),
            actions=played.actions,
            rewards=played.rewards,
            seen=Seen(played.states, played.last_state, features if encodings else None),
        )


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

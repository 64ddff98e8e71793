"""Layer ``cuda-graphs``: the launches of all steps recorded once, and replayed as one."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from m2bench.baselines.parts import Forward, Loop, Market, Parts, Played
from m2bench.baselines.phases import phase
from m2bench.baselines.rollout import play
from m2bench.baselines.trainer import Trainer
from m2bench.devices import torch_device

from .layer import OURS, Claim, Layer, LayerOptions, Proof

PASSES_BEFORE = 3
"""Libraries and compilers set themselves up in their first calls, which a recording must not hold."""


class GraphedLoop:
    """Plays as the loop in Python does, whose launches on the device it records and replays.

    A replay reads the inputs from where they were at the recording, the weights from where they always are, and leaves
    what was played where it left it the last time: it is copied, since several rollouts may be learned from at once.
    """

    def __init__(self, decide: nn.Module, device: torch.device):
        self.passes = 0
        self.replays = 0

    def __call__(self, decide: Forward, market: Market) -> Played:
        self.passes += 1
        if self.passes <= PASSES_BEFORE:
            return self._play_beside(decide, market)
        if self.passes == PASSES_BEFORE + 1:
            self._record(decide, market)
        self.replays += 1
        with phase("forward"):
            for kept, given in zip(_tensors(self.market), _tensors(market), strict=True):
                kept.copy_(given)
            self.graph.replay()
            return Played(*(getattr(self.played, one.name).clone() for one in fields(Played)))

    def _play_beside(self, decide: Forward, market: Market) -> Played:
        """On a stream of its own, as a recording needs it of what it records."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            played = play(decide, market)
        torch.cuda.current_stream().wait_stream(stream)
        return played

    def _record(self, decide: Forward, market: Market) -> None:
        self.market = replace(
            market,
            features=market.features.clone(),
            price_changes=market.price_changes.clone(),
            noise=market.noise.clone(),
            encoding=None if market.encoding is None else market.encoding.clone(),
        )
        self.graph = torch.cuda.CUDAGraph()
        # What autocast converted before is not converted again by a replay.
        torch.clear_autocast_cache()
        with torch.cuda.graph(self.graph):
            self.played = play(decide, self.market)
        torch.clear_autocast_cache()


def _tensors(market: Market) -> list[Tensor]:
    found = [market.features, market.price_changes, market.noise]
    return found if market.encoding is None else [*found, market.encoding]


def make_loop(decide: nn.Module, device: torch.device) -> Loop:
    return GraphedLoop(decide, device)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, loop=make_loop)


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    assert isinstance(trainer.loop, GraphedLoop)
    trainer.loop.replays = 0
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    replays = getattr(trainer.loop, "replays", 0)
    evidence = {"replays": replays}
    return Proof(replays > 0, evidence, None if replays else "no recorded loop was replayed")


LAYER = Layer(
    name="cuda-graphs",
    part="loop",
    summary="the launches of all steps recorded once, and replayed as one",
    claim=Claim(low=1.5, high=4, text="1.5-4x", difficulty="medium", priority="high", source=OURS),
    apply=apply,
    prove=prove,
    unsupported=lambda device, options: torch_device.why_no_graphs(device),
    unsuited=lambda settings: (
        "it records episodes of one length, and those of a curriculum grow" if settings.curriculum else None
    ),
    timed=timed,
)

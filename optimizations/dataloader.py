"""Layer ``dataloader``: worker processes prepare the next episodes while the trainer computes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain, count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from m2bench.baselines.episodes import EpisodeBatch
from m2bench.baselines.parts import Parts, Prepare
from m2bench.baselines.trainer import Trainer
from m2bench.devices import torch_device

from .layer import DESIGN_NOTE, Claim, Layer, LayerOptions, Proof

PREFETCH = 2

Served = tuple[int, EpisodeBatch]
"""Id of the process that prepared a batch, and the batch."""


class _EpisodeDataset(Dataset[Served]):
    """Batches of training episodes by their numbers."""

    def __init__(self, prepare: Prepare):
        self.prepare = prepare

    def __getitem__(self, episodes: Sequence[int]) -> Served:
        return os.getpid(), self.prepare(episodes)


class _InOrder(Sampler[Sequence[int]]):
    """0 .. n-1, n .. 2n-1, and so on without end."""

    def __init__(self, num_envs: int):
        self.num_envs = num_envs

    def __iter__(self) -> Iterator[Sequence[int]]:
        return (range(first, first + self.num_envs) for first in count(0, self.num_envs))


class WorkerFeed:
    """A DataLoader over training episodes, in order."""

    def __init__(self, prepare: Prepare, num_envs: int, device: torch.device, num_workers: int):
        self.loader = DataLoader(
            _EpisodeDataset(prepare),
            sampler=_InOrder(num_envs),
            batch_size=None,
            num_workers=num_workers,
            prefetch_factor=PREFETCH,
            persistent_workers=True,
            pin_memory=torch_device.honours_pinning(device),
            multiprocessing_context=torch_device.worker_start_method(device),
        )
        self.pinned = self.loader.pin_memory
        self.served_by: set[int] = set()
        # Its processes start here, in the set-up, and not with the first update, which compiling is measured by. Each
        # of them has started when it has delivered, in its turn; where they are spawned, that takes seconds.
        self._batches: Any = iter(self.loader)
        self._first: list[Served] = [next(self._batches) for _ in range(num_workers)]

    def __iter__(self) -> Iterator[EpisodeBatch]:
        for process, batch in chain(self._first, self._batches):
            self.served_by.add(process)
            yield batch

    def close(self) -> None:
        # The loader stops its processes when its iterator goes; waiting for the garbage collector could leave them.
        self._batches._shutdown_workers()


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, feed=partial(WorkerFeed, num_workers=options.num_workers))


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    assert isinstance(trainer.feed, WorkerFeed)
    trainer.feed.served_by.clear()
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    served_by: set[int] = getattr(trainer.feed, "served_by", set())
    others = sorted(served_by - {os.getpid()})
    evidence = {"worker_processes": others, "pinned": getattr(trainer.feed, "pinned", False)}
    if others and len(others) == len(served_by):
        return Proof(True, evidence)
    return Proof(False, evidence, "no other process prepared the episodes")


LAYER = Layer(
    name="dataloader",
    part="feed",
    summary="DataLoader with 4 worker processes, prefetch 2, pinned where the device honours it",
    claim=Claim(low=1.3, high=1.8, text="1.3-1.8x", difficulty="medium", priority="medium", source=DESIGN_NOTE),
    works_ahead=True,
    apply=apply,
    prove=prove,
    timed=timed,
)

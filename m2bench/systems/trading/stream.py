"""The stream of episodes that a trainer consumes, watched while it flows and judged afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import torch

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource

HASHED_EPISODES = 32  # the first so many of every trial are hashed; every combination of a block has the same hash


class WatchedStream:
    """Iterates over a feed's batches and remembers what went by: all numbers, the first episodes, the last batch.

    While it flows, only the first episodes are copied; all else waits for the judgement.
    """

    def __init__(self, batches: Iterator[EpisodeBatch]):
        self._batches = batches
        self._numbers: list[torch.Tensor] = []
        self._first: list[EpisodeBatch] = []
        self._last: EpisodeBatch | None = None

    def __iter__(self) -> Iterator[EpisodeBatch]:
        return self

    def __next__(self) -> EpisodeBatch:
        batch = next(self._batches)
        self._numbers.append(batch.numbers)
        missing = HASHED_EPISODES - len(self._first)
        self._first += [batch.take([column]) for column in range(min(missing, batch.num_episodes))]
        self._last = batch
        return batch

    def numbers(self) -> list[int]:
        """Numbers of all episodes that went by, in order."""
        numbers: list[int] = torch.cat(self._numbers).tolist()
        return numbers

    def first_episodes(self) -> list[EpisodeBatch]:
        """The first HASHED_EPISODES, each a batch of one; takes more from the feed when fewer went by."""
        while len(self._first) < HASHED_EPISODES:
            next(self)
        return self._first

    def last_episode(self) -> EpisodeBatch:
        """The last episode that went by, as a batch of one."""
        assert self._last is not None
        return self._last.take([self._last.num_episodes - 1])


def digest(episodes: Iterable[EpisodeBatch]) -> str:
    """SHA-256 of the episodes' inputs in their order, whatever batches they came in."""
    sha = hashlib.sha256()
    for episode in episodes:
        for tensor in (episode.features, episode.price_changes, episode.noise):
            sha.update(tensor.contiguous().numpy().tobytes())
    return sha.hexdigest()


def stream_fault(stream: WatchedStream, source: EpisodeSource) -> str | None:
    """What is wrong with the episodes that went by, or None. ``source`` prepares them again, one by one."""
    first = stream.first_episodes()
    last = stream.last_episode()
    numbers = stream.numbers()
    for position, number in enumerate(numbers):
        if number != position:
            return f"episode {number} was consumed where episode {position} was due"
    for episode in (*first, last):
        number = int(episode.numbers)
        if digest([episode]) != digest([source.prepare(number)]):
            return f"the inputs of episode {number} are not those that its number and the seed make"
    return None

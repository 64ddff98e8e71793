"""Episodes: what each one needs that does not depend on the policy."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .features import FIRST_DECISION, candle_features, window_features
from .market import Floats, Market, MarketError
from .synthetic import good_positions

NUM_ACTIONS = 3
HOLD, BUY, SELL = range(NUM_ACTIONS)
TRAIN_SHARE = 0.8
EVALUATION_EPISODES = 64
NO_NUMBER = -1  # an evaluation episode is no training episode


@dataclass(frozen=True)
class EpisodeBatch:
    """Episode inputs as host tensors, N episodes of T decisions.

    ``features`` (T, N, 120) float32; ``price_changes`` (T, N) float32, the relative change of
    the close from each decision's candle to the next, computed in double precision before
    it is rounded; ``noise`` (T, N, 3) float32, Gumbel noise of the action draws; ``numbers`` (N,)
    int64, which training episodes these are.
    """

    features: Tensor
    price_changes: Tensor
    noise: Tensor
    numbers: Tensor

    @property
    def num_episodes(self) -> int:
        return self.features.shape[1]

    def pin_memory(self) -> EpisodeBatch:
        """The same in page-locked memory; the hook that torch's DataLoader calls."""
        return EpisodeBatch(
            self.features.pin_memory(), self.price_changes.pin_memory(), self.noise.pin_memory(), self.numbers
        )

    def take(self, columns: Sequence[int]) -> EpisodeBatch:
        """The episodes in these columns, in their order; a column may be taken more than once."""
        return EpisodeBatch(
            self.features[:, columns], self.price_changes[:, columns], self.noise[:, columns], self.numbers[columns]
        )


class PreparedMarket:
    """A market made ready for episodes, in a folder of arrays that are mapped, not read.

    Mapping lets worker processes share the pages, and pickles as the path alone.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Features of every candle, shape (n, 20)."""
        array: NDArray[np.float32] = np.load(self.folder / "features.npy", mmap_mode="r")
        return array

    @cached_property
    def close(self) -> Floats:
        """Closing prices, shape (n,)."""
        array: Floats = np.load(self.folder / "close.npy", mmap_mode="r")
        return array

    @cached_property
    def deviation(self) -> Floats:
        """Hidden deviation of a synthetic market, shape (n,); empty for a real one."""
        array: Floats = np.load(self.folder / "deviation.npy", mmap_mode="r")
        return array

    @cached_property
    def facts(self) -> dict[str, object]:
        """Name, fingerprint and number of candles."""
        facts: dict[str, object] = json.loads((self.folder / "market.json").read_text())
        return facts

    def __len__(self) -> int:
        return len(self.close)

    def __reduce__(self) -> tuple[type[PreparedMarket], tuple[Path]]:
        return PreparedMarket, (self.folder,)


def prepare_market(market: Market, folder: Path) -> PreparedMarket:
    """Write the market's arrays to ``folder``, which must exist, and return the prepared market."""
    np.save(folder / "features.npy", candle_features(market))
    np.save(folder / "close.npy", market.close)
    np.save(folder / "deviation.npy", market.deviation)
    facts = {"name": market.name, "candles": len(market), "sha256": market.fingerprint()}
    (folder / "market.json").write_text(json.dumps(facts))
    return PreparedMarket(folder)


def training_generator(seed: int, episode: int) -> np.random.Generator:
    """What a training episode is drawn by: its own generator, which counts, and depends on nothing before it."""
    return np.random.Generator(np.random.Philox(key=[seed, episode]))


class EpisodeSource:
    """Makes training episodes from the earlier part of a market, evaluation episodes from the rest.

    Training episode k is keyed by (seed, k) through a counter-based generator, so it is the
    same whoever prepares it and in whatever order.

    Raises MarketError when either part is too short for one episode and its look-back.
    """

    def __init__(self, market: PreparedMarket, episode_length: int, seed: int):
        self.market = market
        self.episode_length = episode_length
        self.seed = seed
        self.split = int(len(market) * TRAIN_SHARE)
        # The last decision of an episode needs one more candle, for its profit.
        self._train_starts = self.split - episode_length - FIRST_DECISION
        self._held_out_starts = len(market) - episode_length - max(self.split, FIRST_DECISION)
        if self._train_starts < 1 or self._held_out_starts < 1:
            raise MarketError(self._too_short())

    def _too_short(self) -> str:
        # The training part must hold look-back and episode; the rest must hold an episode.
        in_training = math.ceil((self.episode_length + FIRST_DECISION + 1) / TRAIN_SHARE)
        held_out = math.ceil((self.episode_length + 1) / (1 - TRAIN_SHARE))
        needed = max(in_training, held_out)
        return (
            f"{self.market.facts['name']}: {len(self.market)} candles are too few. An episode of "
            f"{self.episode_length} decisions with its look-back of {FIRST_DECISION} candles, in the training part "
            f"({TRAIN_SHARE:.0%}) and in the held-out part, needs at least {needed}. "
            "Give more candles, or a smaller --episode-length."
        )

    def prepare(self, episode: int) -> EpisodeBatch:
        """Training episode number ``episode``, as a batch of one."""
        start, noise = self.draw(episode)
        return self._episode(start, noise, episode)

    def draw(self, episode: int) -> tuple[int, Floats]:
        """What is random in a training episode: its first decision's candle, and the Gumbel noise (T, 3)."""
        rng = training_generator(self.seed, episode)
        start = FIRST_DECISION + int(rng.integers(self._train_starts))
        return start, rng.gumbel(size=(self.episode_length, NUM_ACTIONS))

    def prepare_many(self, episodes: Sequence[int]) -> EpisodeBatch:
        """Training episodes of these numbers, as one batch in their order."""
        return collate([self.prepare(episode) for episode in episodes])

    def evaluation_starts(self) -> NDArray[np.int64]:
        """First decisions of the evaluation episodes, evenly spread over the held-out part."""
        first = max(self.split, FIRST_DECISION)
        count = min(EVALUATION_EPISODES, self._held_out_starts)
        return first + np.linspace(0, self._held_out_starts - 1, count).astype(np.int64)

    def evaluation_batch(self) -> EpisodeBatch:
        """All evaluation episodes; their noise is zero, so that drawing an action is taking the best."""
        silent = np.zeros((self.episode_length, NUM_ACTIONS))
        return collate([self._episode(int(start), silent, NO_NUMBER) for start in self.evaluation_starts()])

    def good_evaluation_positions(self, band: float) -> Floats:
        """Positions of the known good policy in the evaluation episodes, shape (T, N)."""
        return good_positions(self._stretches(self.evaluation_starts()), band)

    def training_stretches(self, count: int = 256) -> tuple[Floats, Floats]:
        """Deviations and price changes, each (T, count), of stretches spread over the training part."""
        starts = FIRST_DECISION + np.linspace(0, self._train_starts - 1, count).astype(np.int64)
        return self._stretches(starts), self._price_changes(starts, self.episode_length)

    def _stretches(self, starts: NDArray[np.int64]) -> Floats:
        return np.stack([self.market.deviation[s : s + self.episode_length] for s in starts], axis=1)

    def batch(
        self, starts: NDArray[np.int64], noise: Floats, numbers: Sequence[int], features: NDArray[np.float32]
    ) -> EpisodeBatch:
        """The episodes that begin at these candles, with noise (T, N, 3) and features (T, N, 120)."""
        return EpisodeBatch(
            features=torch.from_numpy(features),
            price_changes=torch.from_numpy(self._price_changes(starts, len(noise)).astype(np.float32)),
            noise=torch.from_numpy(noise.astype(np.float32)),
            numbers=torch.tensor(list(numbers)),
        )

    def _price_changes(self, starts: NDArray[np.int64], steps: int) -> Floats:
        """Shape (steps, N)."""
        close: Floats = self.market.close[starts + np.arange(steps + 1)[:, None]]
        return close[1:] / close[:-1] - 1.0

    def _episode(self, start: int, noise: Floats, number: int) -> EpisodeBatch:
        features = window_features(self.market.features, start, len(noise))
        return self.batch(np.array([start]), noise[:, None], [number], features[:, None])


def collate(batches: Sequence[EpisodeBatch]) -> EpisodeBatch:
    """Join batches along the episode dimension."""
    if len(batches) == 1:
        return batches[0]
    return EpisodeBatch(
        features=torch.cat([b.features for b in batches], dim=1),
        price_changes=torch.cat([b.price_changes for b in batches], dim=1),
        noise=torch.cat([b.noise for b in batches], dim=1),
        numbers=torch.cat([b.numbers for b in batches]),
    )

"""Episodes are keyed by seed and number, whoever prepares them; draws follow the policy."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource, PreparedMarket, prepare_market
from m2bench.baselines.features import FIRST_DECISION
from m2bench.baselines.market import MarketError
from m2bench.baselines.parts import Prepare
from m2bench.baselines.synthetic import synthetic_market
from m2bench.optimizations.dataloader import WorkerFeed


def same(a: EpisodeBatch, b: EpisodeBatch) -> bool:
    return all(torch.equal(getattr(a, f), getattr(b, f)) for f in ("features", "price_changes", "noise"))


def test_an_episode_is_the_same_whoever_prepares_it_and_when(source: EpisodeSource) -> None:
    many = source.prepare_many(range(5))
    alone = source.prepare(3)
    assert torch.equal(many.features[:, 3], alone.features[:, 0])
    assert torch.equal(many.price_changes[:, 3], alone.price_changes[:, 0])
    assert torch.equal(many.noise[:, 3], alone.noise[:, 0])


def test_seed_and_number_both_matter(prepared: PreparedMarket) -> None:
    one, other = EpisodeSource(prepared, 16, seed=1), EpisodeSource(prepared, 16, seed=2)
    assert same(one.prepare(0), EpisodeSource(prepared, 16, seed=1).prepare(0))
    assert not same(one.prepare(0), other.prepare(0))
    assert not same(one.prepare(0), one.prepare(1))


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("num_envs", [1, 4])
def test_the_worker_feed_serves_the_episodes_of_the_direct_one(
    source: EpisodeSource, num_workers: int, num_envs: int, cpu: torch.device
) -> None:
    feed = WorkerFeed(source.prepare_many, num_envs, cpu, num_workers)
    batches = iter(feed)
    try:
        for first in range(0, 6 * num_envs, num_envs):
            assert same(next(batches), source.prepare_many(range(first, first + num_envs)))
        assert len(feed.served_by) == num_workers
    finally:
        feed.close()


class SlowSource:
    """Its episodes take a while, and leave a file each."""

    def __init__(self, folder: Path):
        self.folder = folder

    def prepare_many(self, numbers: Sequence[int]) -> Sequence[int]:
        time.sleep(0.3)
        (self.folder / str(*numbers)).touch()
        return numbers


def test_the_worker_feed_is_made_when_each_of_its_processes_has_started(tmp_path: Path, cpu: torch.device) -> None:
    """Or the first update would wait for them, from which the time of compiling is taken."""
    feed = WorkerFeed(cast(Prepare, SlowSource(tmp_path).prepare_many), num_envs=1, device=cpu, num_workers=2)
    try:
        assert {path.name for path in tmp_path.iterdir()} >= {"0", "1"}
    finally:
        feed.close()


def test_training_episodes_stay_within_the_training_part(prepared: PreparedMarket) -> None:
    source = EpisodeSource(prepared, 16, seed=0)
    close = np.asarray(prepared.close)
    changes = close[1:] / close[:-1] - 1
    starts = []
    for number in range(300):
        first = float(source.prepare(number).price_changes[0, 0])
        starts.append(int(np.argmin(np.abs(changes.astype(np.float32) - first))))
    assert min(starts) >= FIRST_DECISION
    assert max(starts) + 16 < source.split
    assert source.evaluation_starts().min() >= source.split
    assert source.evaluation_starts().max() + 16 < len(prepared)


def test_an_episode_pays_the_change_to_the_next_candle(source: EpisodeSource) -> None:
    start = int(source.evaluation_starts()[0])
    close = np.asarray(source.market.close)
    expected = [close[t + 1] / close[t] - 1 for t in range(start, start + source.episode_length)]
    np.testing.assert_allclose(source.evaluation_batch().price_changes[:, 0].numpy(), expected, rtol=1e-6)


def test_drawing_by_gumbel_noise_has_the_policys_distribution(source: EpisodeSource) -> None:
    logits = torch.tensor([0.3, -0.5, 1.1])
    noise = torch.cat([source.prepare(number).noise[:, 0] for number in range(1500)])
    counts = torch.bincount((logits + noise).argmax(dim=1), minlength=3)
    expected = torch.softmax(logits.double(), 0) * len(noise)
    assert chisquare(counts.numpy(), expected.numpy()).pvalue > 0.001


def test_a_prepared_market_travels_as_its_path(prepared: PreparedMarket) -> None:
    data = pickle.dumps(prepared)
    assert len(data) < 2000
    assert np.array_equal(pickle.loads(data).close, prepared.close)


def test_too_few_candles_are_refused_with_the_number_needed(tmp_path_factory: pytest.TempPathFactory) -> None:
    def source(candles: int) -> EpisodeSource:
        folder = tmp_path_factory.mktemp("short")
        return EpisodeSource(prepare_market(synthetic_market(candles=candles), folder), 128, seed=0)

    with pytest.raises(MarketError, match="600 candles are too few") as error:
        source(600)
    needed = int(str(error.value).split("needs at least ")[1].split(".")[0])
    source(needed).prepare(0)
    source(needed).evaluation_batch()
    with pytest.raises(MarketError):
        source(needed - 1)

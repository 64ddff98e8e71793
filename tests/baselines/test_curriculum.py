"""A curriculum's stages: lengths, calm stretches, one stage for an update, and an evaluation that stays the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from m2bench.baselines.algorithms import make_trainer
from m2bench.baselines.curriculum import CurriculumSource, make_source
from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource, PreparedMarket, prepare_market
from m2bench.baselines.hyperparameters import CURRICULUM, Hyperparameters, Stage, in_whole_updates
from m2bench.baselines.market import MarketError
from m2bench.baselines.synthetic import synthetic_market
from m2bench.baselines.trainer import baseline_parts
from m2bench.optimizations import load_layer
from m2bench.optimizations.layer import LayerOptions, compose
from m2bench.optimizations.native_features import NativePreparation

LENGTH = 16
STAGES = (Stage(4, 0.25, 0.2), Stage(10, 0.5, 0.5), Stage(None, 1.0, 1.0))


def source(prepared: PreparedMarket, episodes_per_update: int = 1, seed: int = 5) -> CurriculumSource:
    return CurriculumSource(prepared, LENGTH, seed, STAGES, episodes_per_update)


def same(one: EpisodeBatch, other: EpisodeBatch) -> bool:
    return all(torch.equal(getattr(one, n), getattr(other, n)) for n in ("features", "price_changes", "noise"))


def test_episodes_grow_by_stages(prepared: PreparedMarket) -> None:
    found = source(prepared)
    lengths = [len(found.prepare(episode).price_changes) for episode in range(12)]
    assert lengths == [4] * 4 + [8] * 6 + [16] * 2
    assert found.prepare(3).features.shape == (4, 1, 120)
    assert found.prepare(3).noise.shape == (4, 1, 3)


def test_early_episodes_are_drawn_from_the_calmest_stretches(prepared: PreparedMarket) -> None:
    """By the mean squared return of the stretch that a stage plays, computed one by one."""
    found = source(prepared)
    returns = np.diff(np.log(np.asarray(prepared.close)))

    def volatility(start: int, length: int) -> float:
        return float((returns[start : start + length] ** 2).mean())

    starts = range(555, int(0.8 * len(prepared)) - LENGTH)
    for stage, length, first in ((Stage(200, 0.25, 0.2), 4, 0), (Stage(400, 0.5, 0.5), 8, 200)):
        staged = CurriculumSource(prepared, LENGTH, 5, (Stage(200, 0.25, 0.2), Stage(400, 0.5, 0.5), STAGES[2]), 1)
        limit = np.quantile([volatility(s, length) for s in starts], stage.calmest)
        assert all(volatility(staged.draw(e)[0], length) <= limit * 1.01 for e in range(first, first + 200))
    many = [volatility(found.draw(episode)[0], LENGTH) for episode in range(10, 300)]
    assert np.median(many) == pytest.approx(np.median([volatility(s, LENGTH) for s in starts]), rel=0.1)


def test_an_update_is_of_one_stage_that_of_its_first_episode(prepared: PreparedMarket) -> None:
    found = source(prepared, episodes_per_update=6)
    lengths = [len(found.prepare(episode).price_changes) for episode in range(18)]
    assert lengths == [4] * 6 + [8] * 6 + [16] * 6
    assert [stage.until for stage in found.stages] == [6, 12, None]


def test_a_stage_that_no_update_is_left_for_is_refused(prepared: PreparedMarket) -> None:
    assert [stage.until for stage in in_whole_updates(CURRICULUM, 127)] == [127, 254, None]
    with pytest.raises(ValueError, match="stage until episode 128 would be skipped with 128 episodes per update"):
        in_whole_updates(CURRICULUM, 128)
    with pytest.raises(ValueError, match="stage until episode 10 would be skipped with 12 episodes per update"):
        source(prepared, episodes_per_update=12)


def test_an_episode_is_the_same_whoever_prepares_it(prepared: PreparedMarket) -> None:
    found = source(prepared)
    assert same(found.prepare(7), source(prepared).prepare(7))
    assert not same(found.prepare(7), source(prepared, seed=6).prepare(7))
    numbers = range(4, 10)
    assert same(NativePreparation()(found, numbers), found.prepare_many(numbers))


def test_the_evaluation_stays_the_same(prepared: PreparedMarket) -> None:
    plain = EpisodeSource(prepared, LENGTH, seed=5)
    assert same(source(prepared).evaluation_batch(), plain.evaluation_batch())


def test_a_market_that_is_too_short_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    market = prepare_market(synthetic_market(seed=3, candles=750), tmp_path_factory.mktemp("short"))
    EpisodeSource(market, LENGTH, seed=0)  # long enough for episodes of one length
    with pytest.raises(MarketError, match="750 candles are too few for a curriculum"):
        source(market)


@pytest.mark.parametrize("algorithm", ["reinforce", "ppo"])
@pytest.mark.parametrize("layers", [(), ("batching", "vectorized-loss", "encode-once", "native-features")])
def test_trainers_learn_through_all_stages(algorithm: str, layers: tuple[str, ...], prepared: PreparedMarket) -> None:
    settings = replace(
        Hyperparameters(episode_length=LENGTH, curriculum=(Stage(2, 0.5, 0.5), Stage(None, 1.0, 1.0))),
        algorithm=algorithm,  # type: ignore[arg-type]
        minibatches=2,
    )
    parts = compose(baseline_parts(), [load_layer(name) for name in layers], LayerOptions(num_envs=2))
    made = make_source(prepared, settings, 0, parts.episodes_per_update)
    t = make_trainer(parts, made, settings, 0, torch.device("cpu"))
    lengths = []
    play = t.play

    def spy(batch: EpisodeBatch):  # type: ignore[no-untyped-def]
        lengths.append(len(batch.price_changes))
        return play(batch)

    t.play = spy  # type: ignore[method-assign]
    for _ in range(3):
        t.update()
        t.check_finite()
    assert lengths == ([8, 16, 16] if layers else [8, 8, 16])


def test_the_stages_are_in_order_and_the_last_is_the_whole_market() -> None:
    ends = [stage.until for stage in CURRICULUM[:-1]]
    assert ends == sorted(ends, key=lambda until: until or 0)
    assert CURRICULUM[-1] == Stage(None, 1.0, 1.0)
    for name in ("length", "calmest"):
        values = [getattr(stage, name) for stage in CURRICULUM]
        assert values == sorted(values)

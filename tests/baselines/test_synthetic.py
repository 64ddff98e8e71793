"""The synthetic market has the process it claims, and its known good policy earns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m2bench.baselines.episodes import EpisodeSource, PreparedMarket
from m2bench.baselines.evaluation import Evaluation, episode_returns
from m2bench.baselines.synthetic import REVERSION, good_positions, synthetic_market


def test_the_deviation_reverts_at_the_stated_rate() -> None:
    deviation = synthetic_market(seed=1).deviation
    slope = np.polyfit(deviation[:-1], np.diff(deviation), 1)[0]
    assert slope == pytest.approx(-REVERSION, abs=0.02)


def test_the_same_seed_gives_the_same_market_and_another_gives_another() -> None:
    one, same, other = (synthetic_market(seed, candles=500) for seed in (1, 1, 2))
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != other.fingerprint()


def test_candles_are_consistent() -> None:
    market = synthetic_market(candles=2000)
    assert (market.low <= np.minimum(market.open, market.close)).all()
    assert (market.high >= np.maximum(market.open, market.close)).all()
    assert (market.low > 0).all()


def test_good_positions_keep_their_side_within_the_band() -> None:
    deviation = np.array([[0.0], [2.0], [0.5], [-0.5], [-2.0], [0.0], [1.5]])
    assert good_positions(deviation, band=1.0)[:, 0].tolist() == [0, -1, -1, -1, 1, 1, -1]


def test_episode_returns_are_profits_less_penalties() -> None:
    positions = np.array([[1.0], [1.0], [-1.0]])
    changes = np.array([[0.01], [-0.02], [-0.03]])
    # 1 % - 2 % + 3 %, and two changes of position (from none to long, from long to short).
    assert episode_returns(positions, changes, trade_penalty=0.1)[0] == pytest.approx(1 - 2 + 3 - 0.2)


def test_the_known_good_policy_beats_every_constant_position(prepared: PreparedMarket) -> None:
    evaluation = Evaluation(EpisodeSource(prepared, 128, seed=0), torch.device("cpu"))
    changes = evaluation.source.evaluation_batch().price_changes.double().numpy()
    constant = [episode_returns(np.full_like(changes, side), changes).mean() for side in (-1.0, 0.0, 1.0)]
    assert evaluation.good_return is not None
    assert evaluation.good_return > 5 * max(constant)
    assert evaluation.good_return > 1.0

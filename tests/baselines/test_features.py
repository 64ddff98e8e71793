"""Features against a slow, obvious version, and the proof that none looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m2bench.baselines.features import (
    FIRST_DECISION,
    LONG_SPAN,
    MACRO_WINDOW,
    MICRO_WINDOW,
    NUM_FEATURES,
    candle_features,
    window_features,
)
from m2bench.baselines.market import Market


def slow_features(market: Market, t: int) -> list[float]:
    """The 20 features of candle t, each straight from its definition."""
    close, log_close = market.close, np.log(market.close)
    returns = np.diff(log_close)  # returns[i] is from i to i + 1

    def rms(k: int) -> float:
        return float(np.sqrt(np.mean(returns[t - k : t] ** 2)))

    volatility = rms(64)
    features = [(log_close[t] - log_close[t - k]) / (volatility * k**0.5) for k in (1, 2, 4, 8, 16, 32, 64)]
    features += [np.log(rms(k) / volatility) for k in (8, 16, 32)]
    spread = (market.high - market.low) / close
    features += [spread[t] / volatility, spread[t - 15 : t + 1].mean() / volatility]
    features += [2 * (close[t] - market.low[t]) / (market.high[t] - market.low[t]) - 1]
    low, high = market.low[t - 31 : t + 1].min(), market.high[t - 31 : t + 1].max()
    features += [2 * (close[t] - low) / (high - low) - 1]
    for k in (16, 64):
        volumes = np.log1p(market.volume[t - k + 1 : t + 1])
        features += [(volumes[-1] - volumes.mean()) / volumes.std()]
    features += [(log_close[t] - log_close[t - k + 1 : t + 1].mean()) / (volatility * k**0.5) for k in (16, 64)]
    angle = 2 * np.pi * (market.time[t] / 1e9 % 86_400) / 86_400
    return [*features, np.sin(angle), np.cos(angle)]


@pytest.mark.parametrize("t", [LONG_SPAN, 100, 777, 3999])
def test_features_follow_their_definitions(market: Market, t: int) -> None:
    table = candle_features(market)
    assert table.shape == (len(market), NUM_FEATURES)
    assert np.isfinite(table).all()
    np.testing.assert_allclose(table[t], np.clip(slow_features(market, t), -10, 10), rtol=2e-5, atol=2e-5)


def test_changing_a_future_candle_changes_no_earlier_feature(market: Market) -> None:
    t = 2000
    changed = replace(
        market, **{name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    )
    for name in ("open", "high", "low", "close", "volume"):
        getattr(changed, name)[t + 1 :] *= np.linspace(1.5, 3.0, len(market) - t - 1)
    before, after = candle_features(market), candle_features(changed)
    assert np.array_equal(before[: t + 1], after[: t + 1])
    assert not np.array_equal(before[t + 1], after[t + 1])
    # The observation of the decision at candle t is the same too, in an episode that goes on beyond it.
    start, steps = t - 5, 12
    seen, seen_after = window_features(before, start, steps), window_features(after, start, steps)
    assert np.array_equal(seen[:6], seen_after[:6])
    assert not np.array_equal(seen[6], seen_after[6])


def test_window_features_are_mean_deviation_and_last_value_of_both_windows(market: Market) -> None:
    features = candle_features(market)
    start, steps = FIRST_DECISION, 9
    fast = window_features(features, start, steps)
    assert fast.shape == (steps, 120)
    for step in range(steps):
        t = start + step
        expected = []
        for window in (MACRO_WINDOW, MICRO_WINDOW):
            past = features[t - window + 1 : t + 1].astype(np.float64)
            assert len(past) == window
            expected += [past.mean(axis=0), past.std(axis=0), past[-1]]
        np.testing.assert_allclose(fast[step], np.concatenate(expected), rtol=1e-5, atol=1e-5)


def test_a_market_that_stands_still_gives_finite_features(market: Market) -> None:
    flat = np.full(len(market), 5.0)
    still = replace(market, open=flat, high=flat, low=flat, close=flat, volume=np.zeros(len(market)))
    assert np.isfinite(candle_features(still)).all()

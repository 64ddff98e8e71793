"""The synthetic market: something to learn, and a known good policy to compare with."""

from __future__ import annotations

import numpy as np

from .market import Floats, Market

CANDLES = 40_000
CANDLE_NS = 300 * 10**9  # five minutes
START_NS = 1_577_836_800 * 10**9  # 2020-01-01 00:00 UTC

REVERSION = 0.4  # share of the deviation that is undone per candle (half-life 1.4 candles)
SHOCK = 0.002  # standard deviation of one candle's shock to the deviation, at normal volatility
TREND_SHOCK = 0.00015  # standard deviation of one candle's change of fair value
DRIFT_REVERSION = 0.002  # the trend turns over some 500 candles
DRIFT_SHOCK = 0.000002
VOLATILITY_REVERSION = 0.01  # volatility changes over some 100 candles
VOLATILITY_SHOCK = 0.05


def synthetic_market(seed: int = 0, candles: int = CANDLES) -> Market:
    """Mean reversion around a slow trend with changing volatility, in 5-minute candles.

    log price = fair value + deviation. The fair value is a random walk with a slowly
    changing drift; the deviation is an AR(1) process, ``d[t+1] = (1 - REVERSION) d[t] +
    volatility[t] * shock``; log volatility is an AR(1) process too. The market's own
    ``deviation`` column is what the known good policy trades on.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, 2**63]))
    log_volatility = _ar1(rng.standard_normal(candles) * VOLATILITY_SHOCK, VOLATILITY_REVERSION)
    volatility = np.exp(np.clip(log_volatility, -1.5, 1.5))
    drift = _ar1(rng.standard_normal(candles) * DRIFT_SHOCK, DRIFT_REVERSION)
    fair = np.log(100.0) + np.cumsum(drift + rng.standard_normal(candles) * TREND_SHOCK)
    deviation = _ar1(rng.standard_normal(candles) * SHOCK * volatility, REVERSION)
    close = np.exp(fair + deviation)

    opening = np.concatenate(([close[0]], close[:-1]))
    wick = np.abs(rng.standard_normal((2, candles))) * SHOCK * volatility * 0.4
    high = np.maximum(opening, close) * np.exp(wick[0])
    low = np.minimum(opening, close) * np.exp(-wick[1])
    volume = 1000.0 * volatility * np.exp(rng.standard_normal(candles) * 0.3)
    time = START_NS + CANDLE_NS * np.arange(candles, dtype=np.int64)
    return Market(
        name="synthetic", time=time, open=opening, high=high, low=low, close=close, volume=volume, deviation=deviation
    )


def good_positions(deviation: Floats, band: float) -> Floats:
    """Positions of the known good policy, shape of ``deviation`` (n, episodes): -1, 0 or 1.

    Short above ``band``, long below ``-band``, unchanged between: what an owner of the
    hidden deviation does when each change of position costs something.
    """
    position = np.zeros(deviation.shape[1:])
    positions = np.empty_like(deviation)
    for step, now in enumerate(deviation):
        position = np.where(now > band, -1.0, np.where(now < -band, 1.0, position))
        positions[step] = position
    return positions


def _ar1(shocks: Floats, reversion: float) -> Floats:
    """x[t] = (1 - reversion) x[t-1] + shocks[t], from x[-1] = 0."""
    from scipy.signal import lfilter

    filtered: Floats = lfilter([1.0], [1.0, reversion - 1.0], shocks)
    return filtered

"""Per-candle features, and their summaries over the macro and micro windows.

No look-ahead: a feature at candle t is computed from candles <= t alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .market import DAY_NS, Floats, Market

RETURN_SPANS = (1, 2, 4, 8, 16, 32, 64)
VOLATILITY_SPANS = (8, 16, 32)
LONG_SPAN = 64  # also the number of candles that the longest feature looks back
CHANNEL_SPAN = 32
VOLUME_SPANS = (16, 64)
MEAN_SPANS = (16, 64)
NUM_FEATURES = 20

MACRO_WINDOW = 492
MICRO_WINDOW = 60
SUMMARIES = 3  # mean, standard deviation, last value
MACRO_FEATURES = MICRO_FEATURES = SUMMARIES * NUM_FEATURES
FIRST_DECISION = LONG_SPAN + MACRO_WINDOW - 1  # earliest candle with a full macro window of full features

TINY = 1e-12


def candle_features(market: Market) -> NDArray[np.float32]:
    """The 20 features of every candle, shape (n, 20), each free of units and of order 1.

    Seven log returns and two distances from moving means, in units of the trailing
    volatility; three volatility ratios; range (of the candle and its mean over 16); close position in the
    candle and in the 32-candle channel; two volume z-scores; time of day as sine and cosine.
    The first LONG_SPAN rows are computed over what is there and are never used in an episode.
    """
    log_close = np.log(market.close)
    returns = np.diff(log_close, prepend=log_close[0])
    volatility = _rolling_rms(returns, LONG_SPAN) + TINY
    span = market.high - market.low
    relative_range = span / market.close
    columns = [(log_close - _shift(log_close, k)) / (volatility * np.sqrt(k)) for k in RETURN_SPANS]
    columns += [np.log((_rolling_rms(returns, k) + TINY) / volatility) for k in VOLATILITY_SPANS]
    columns += [relative_range / volatility, _rolling_mean(relative_range, 16) / volatility]
    columns += [_position_in(market.close, market.low, market.high)]
    columns += [_position_in(market.close, *_channel(market, CHANNEL_SPAN))]
    columns += [_z_score(np.log1p(market.volume), k) for k in VOLUME_SPANS]
    columns += [(log_close - _rolling_mean(log_close, k)) / (volatility * np.sqrt(k)) for k in MEAN_SPANS]
    angle = 2 * np.pi * (market.time % DAY_NS) / DAY_NS
    columns += [np.sin(angle), np.cos(angle)]
    # A market that stood still has no volatility to divide by; its next move must not blind the network.
    table: NDArray[np.float32] = np.clip(np.stack(columns, axis=1), -10.0, 10.0).astype(np.float32)
    return table


def window_features(features: NDArray[np.float32], start: int, steps: int) -> NDArray[np.float32]:
    """Macro and micro observations of ``steps`` decisions from candle ``start`` on, shape (steps, 120).

    Columns 0-59: mean, standard deviation and last value of the 20 features over the past
    492 candles, 60-119: the same over the past 60. The decision at candle t sees t and before.
    """
    first = start - MACRO_WINDOW + 1
    stretch = features[first : start + steps].astype(np.float64)
    sums = _prefix_sums(stretch)
    squares = _prefix_sums(stretch * stretch)
    out = np.empty((steps, MACRO_FEATURES + MICRO_FEATURES), dtype=np.float32)
    last = stretch[MACRO_WINDOW - 1 :]
    for window, column in ((MACRO_WINDOW, 0), (MICRO_WINDOW, MACRO_FEATURES)):
        end = slice(MACRO_WINDOW, MACRO_WINDOW + steps)
        begin = slice(MACRO_WINDOW - window, MACRO_WINDOW - window + steps)
        mean = (sums[end] - sums[begin]) / window
        variance = (squares[end] - squares[begin]) / window - mean * mean
        out[:, column : column + 20] = mean
        out[:, column + 20 : column + 40] = np.sqrt(np.maximum(variance, 0.0))
        out[:, column + 40 : column + 60] = last
    return out


def _prefix_sums(values: Floats) -> Floats:
    """Sums of the first 0, 1, ..., n rows, shape (n + 1, ...)."""
    sums = np.zeros((len(values) + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _rolling_mean(values: Floats, span: int) -> Floats:
    """Mean of the last ``span`` values (fewer at the start), shape (n,)."""
    sums = _prefix_sums(values - values[0])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - span, 0)
    mean: Floats = values[0] + (sums[end] - sums[begin]) / (end - begin)
    return mean


def _rolling_rms(values: Floats, span: int) -> Floats:
    # Rounding of the prefix sums can leave a tiny negative mean square where values stood still.
    rms: Floats = np.sqrt(np.maximum(_rolling_mean(values * values, span), 0.0))
    return rms


def _z_score(values: Floats, span: int) -> Floats:
    mean = _rolling_mean(values, span)
    variance = _rolling_mean((values - values[0]) ** 2, span) - (mean - values[0]) ** 2
    score: Floats = (values - mean) / np.sqrt(np.maximum(variance, 1e-8))
    return score


def _shift(values: Floats, k: int) -> Floats:
    """values[t - k], and values[0] before there are k."""
    return values[np.maximum(np.arange(len(values)) - k, 0)]


def _channel(market: Market, span: int) -> tuple[Floats, Floats]:
    """Lowest low and highest high of the last ``span`` candles, each shape (n,)."""
    windows = np.lib.stride_tricks.sliding_window_view
    low = np.concatenate((np.full(span - 1, market.low[0]), market.low))
    high = np.concatenate((np.full(span - 1, market.high[0]), market.high))
    return windows(low, span).min(axis=1), windows(high, span).max(axis=1)


def _position_in(value: Floats, low: Floats, high: Floats) -> Floats:
    """Where value lies between low (-1) and high (1); 0 where they are equal."""
    width = high - low
    safe: Any = np.where(width > 0, width, 1.0)
    return np.where(width > 0, 2 * (value - low) / safe - 1, 0.0)

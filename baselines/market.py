"""A market: candles in time order, whatever source they came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PRICES = ("open", "high", "low", "close")
COLUMNS = ("time", *PRICES, "volume")
DAY_NS = 86_400 * 10**9


class MarketError(ValueError):
    """The market data cannot be used: what is wrong, where, and what to do next."""


@dataclass(frozen=True)
class Market:
    """Candles in time order.

    ``time`` is UTC nanoseconds, shape (n,), strictly increasing; the prices are finite
    and positive, ``volume`` finite and not negative, each float64 of shape (n,).
    ``deviation`` is the hidden distance of the log price from its fair value; only a
    synthetic market knows it (empty otherwise). ``remarks`` are sentences on what was
    done to the source or is doubtful in it.
    """

    name: str
    time: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    deviation: Floats = field(default_factory=lambda: np.empty(0))
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.close)

    def fingerprint(self) -> str:
        """SHA-256 of every candle, so that two runs can tell whether they saw the same data."""
        digest = hashlib.sha256()
        for name in COLUMNS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()

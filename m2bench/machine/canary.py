"""A fixed computation whose time tells how fast the machine is at the moment; without torch, beside programs."""

from __future__ import annotations

import hashlib
import time
from statistics import median

BLOCK = bytes(2**20)
SERIES_S = 0.1  # in all: a single hash takes a millisecond, and tells more of the moment than of the machine
LEAST = 3


def host_canary_s() -> float:
    """Seconds of hashing BLOCK: the median of as many as take SERIES_S, after one not counted.

    What interrupts fewer than half of them does not move it.
    """
    _hash_s()
    found: list[float] = []
    while len(found) < LEAST or sum(found) < SERIES_S:
        found.append(_hash_s())
    return median(found)


def _hash_s() -> float:
    begin = time.perf_counter()
    hashlib.sha256(BLOCK)
    return time.perf_counter() - begin

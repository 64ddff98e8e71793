"""How fast a device is at fixed computations, against which trials are held."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from statistics import median

import torch
from torch import Tensor

from .torch_device import synchronize

FIXED = torch.float32  # whatever a user's trainer has made the default
CANARY_SIZE = 512
CANARY_PRODUCTS = 8
CANARY_S = 0.1  # in all: a single series takes milliseconds, and tells more of the moment than of the machine
CANARY_LEAST = 3  # series
PEAK_SIZES: dict[str, tuple[int, ...]] = {
    "cpu": (256, 512, 1024),
    "cuda": (2048, 4096, 8192),
    "mps": (1024, 2048, 4096),
}
PEAK_PRODUCTS = 10


def canary_s(device: torch.device) -> float:
    """Seconds of a fixed series of matrix products: the median of as many as take CANARY_S, after one not counted.

    What interrupts fewer than half of them does not move it.
    """
    matrix = torch.full((CANARY_SIZE, CANARY_SIZE), 1 / CANARY_SIZE, dtype=FIXED, device=device)
    _products_s(matrix)
    series_s: list[float] = []
    while len(series_s) < CANARY_LEAST or sum(series_s) < CANARY_S:
        series_s.append(_products_s(matrix))
    return median(series_s)


def _products_s(matrix: Tensor) -> float:
    synchronize(matrix.device)
    begin = time.perf_counter()
    for _ in range(CANARY_PRODUCTS):
        matrix = matrix @ matrix
    synchronize(matrix.device)
    return time.perf_counter() - begin


def matmul_peak_flops(device: torch.device) -> float:
    """Floating-point operations per second of the fastest float32 matrix product among some sizes.

    Larger ones are left out where the device has no room for them, as the virtual GPU of some hosted Macs
    (actions/runner-images#11899). Raises RuntimeError where it has none for the smallest.
    """
    smallest, *larger = PEAK_SIZES[device.type]
    flops = [_matmul_flops(device, smallest)]
    with suppress(RuntimeError):
        for size in larger:
            flops.append(_matmul_flops(device, size))  # noqa: PERF401 (those before an error count)
    return max(flops)


def _matmul_flops(device: torch.device, size: int) -> float:
    """Of products of square matrices: 2 n^3 operations each, the best of some."""
    matrix = torch.full((size, size), 1 / size, dtype=FIXED, device=device)
    fastest_s = math.inf
    for _ in range(PEAK_PRODUCTS):
        synchronize(device)
        begin = time.perf_counter()
        matrix @ matrix
        synchronize(device)
        fastest_s = min(fastest_s, time.perf_counter() - begin)
    return 2 * size**3 / fastest_s

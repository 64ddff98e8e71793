"""How fast a device is at fixed computations, against which trials are held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from statistics import median

import torch
from torch import Tensor

from m2bench.records.matmul_peaks import MatmulPeak

from .torch_device import autocast_dtype, fast_cores, synchronize

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
PEAK_PRODUCTS = 10  # at least
PEAK_S = 0.2  # so that some find all cores idle
DISPATCHES = 2000
COPIED_BYTES = 128 * 2**20
SERIES = 5


def device_canary_s(device: torch.device) -> float:
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


def matmul_peaks(device: torch.device) -> tuple[MatmulPeak, ...]:
    """In float32 and, where it can be computed, in autocast's precision; on a CPU by torch's threads and all cores."""
    cores = sorted({torch.get_num_threads(), fast_cores()}) if device.type == "cpu" else [1]
    peaks: list[MatmulPeak] = []
    for dtype in (FIXED, autocast_dtype(device)):
        flops = 0.0  # more cores reach no less than fewer, whatever else runs while they are measured
        with suppress(RuntimeError):
            for count in cores:
                with _threads(count, device):
                    flops = max(flops, matmul_peak_flops(device, dtype))
                peaks.append(MatmulPeak(str(dtype).removeprefix("torch."), count, flops))
    return tuple(peaks)


@contextmanager
def _threads(count: int, device: torch.device) -> Iterator[None]:
    """Until the end, a CPU computes by so many threads."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def matmul_peak_flops(device: torch.device, dtype: torch.dtype = FIXED) -> float:
    """Floating-point operations per second of the fastest matrix product in this precision among some sizes.

    Larger ones are left out where the device has no room for them, as the virtual GPU of some hosted Macs
    (actions/runner-images#11899). Raises RuntimeError where it has none for the smallest.
    """
    smallest, *larger = PEAK_SIZES[device.type]
    flops = [_matmul_flops(device, smallest, dtype)]
    with suppress(RuntimeError):
        for size in larger:
            flops.append(_matmul_flops(device, size, dtype))  # noqa: PERF401 (those before an error count)
    return max(flops)


def _matmul_flops(device: torch.device, size: int, dtype: torch.dtype) -> float:
    """Of products of square matrices: 2 n^3 operations each, the best of as many as take PEAK_S."""
    matrix = torch.full((size, size), 1 / size, dtype=dtype, device=device)
    taken_s: list[float] = []
    while len(taken_s) < PEAK_PRODUCTS or sum(taken_s) < PEAK_S:
        synchronize(device)
        begin = time.perf_counter()
        matrix @ matrix
        synchronize(device)
        taken_s.append(time.perf_counter() - begin)
    return 2 * size**3 / min(taken_s)


def dispatch_s(device: torch.device) -> float:
    """Seconds that handing one operator to the device takes: of an addition to one number, the best of some series."""
    one = torch.zeros(1, device=device)
    return min(_repeated_s(device, lambda: one.add_(1.0), DISPATCHES) for _ in range(SERIES))


def most_memory_bytes_per_s(device: torch.device) -> float | None:
    """With all cores; None where the device has no room for the tensors."""
    with suppress(RuntimeError), _threads(fast_cores(), device):
        return memory_bytes_per_s(device)
    return None


def memory_bytes_per_s(device: torch.device) -> float:
    """Bytes read and written per second by a copy of a tensor that no cache holds, the best of some."""
    source = torch.zeros(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * COPIED_BYTES / min(_repeated_s(device, lambda: target.copy_(source), 1) for _ in range(SERIES))


def _repeated_s(device: torch.device, run: Callable[[], object], times: int) -> float:
    """Seconds of one of so many calls, submitted one after the other."""
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(times):
        run()
    synchronize(device)
    return (time.perf_counter() - begin) / times

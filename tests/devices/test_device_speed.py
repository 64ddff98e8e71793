"""What trials are held against is the same computation in all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from m2bench.devices import device_speed


@pytest.mark.parametrize("measure", [device_speed.device_canary_s, device_speed.matmul_peak_flops])
def test_it_computes_in_float32_whatever_a_trainer_has_made_the_default(
    measure: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.Tensor] = []
    full = torch.full

    def kept(*arguments: Any, **options: Any) -> torch.Tensor:
        made.append(full(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(torch, "full", kept)
    monkeypatch.setattr(device_speed, "PEAK_SIZES", {"cpu": (8,)})
    monkeypatch.setattr(device_speed, "CANARY_S", 0.0)
    monkeypatch.setattr(device_speed, "PEAK_S", 0.0)
    torch.set_default_dtype(torch.float64)
    try:
        measure(torch.device("cpu"))  # type: ignore[operator]
    finally:
        torch.set_default_dtype(torch.float32)
    assert [matrix.dtype for matrix in made] == [torch.float32]


def test_a_peak_is_of_each_precision_by_the_threads_and_by_all_cores(
    monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    """Planted: bfloat16 is twice as fast; while two cores are measured, others take most of their time."""
    threads, seen = torch.get_num_threads(), list[int]()

    def measured(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
        seen.append(torch.get_num_threads())
        return {1: 3e9, 2: 5e9 if dtype is torch.float32 else 1e9}[seen[-1]] * (1 + (dtype is torch.bfloat16))

    monkeypatch.setattr(device_speed, "matmul_peak_flops", measured)
    monkeypatch.setattr(device_speed, "fast_cores", lambda: 2)
    torch.set_num_threads(1)
    try:
        peaks = device_speed.matmul_peaks(cpu)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert [(peak.precision, peak.cores, peak.flops) for peak in peaks] == [
        ("float32", 1, 3e9), ("float32", 2, 5e9), ("bfloat16", 1, 6e9), ("bfloat16", 2, 6e9),
    ]  # fmt: skip

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
    torch.set_default_dtype(torch.float64)
    try:
        measure(torch.device("cpu"))  # type: ignore[operator]
    finally:
        torch.set_default_dtype(torch.float32)
    assert [matrix.dtype for matrix in made] == [torch.float32]

"""A trainer whose layers all do something, of which not all is to be seen in torch's operators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

OUTSIDE_TORCH = ("shorter_loop",)


def train(  # type: ignore[no-untyped-def]  # as users write it
    *, amp=False, compiled=False, fused=False, workers=False, channels_last=False, more_threads=False,
    inference_mode=False, larger_batch=False, precision=False, learning_rate=False, shorter_loop=False, seed=0,
) -> Iterator[dict[str, object]]:  # fmt: skip
    """A regression on noise, with an evaluation and some work in Python in every step."""
    torch.manual_seed(seed)
    torch.set_num_threads(2 if more_threads else 1)
    torch.set_float32_matmul_precision("high" if precision else "highest")
    data = TensorDataset(torch.randn(512, 4, 8, 8), torch.randn(512, 1))
    loader = DataLoader(data, batch_size=96 if larger_batch else 64, shuffle=True, num_workers=1 if workers else 0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 1))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch declares no overload
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3 if learning_rate else 1e-3, fused=fused or None)
    predict = torch.compile(model, backend="eager") if compiled else model
    while True:
        for inputs, targets in loader:
            sum(range(1_000 if shorter_loop else 10_000))
            with torch.inference_mode() if inference_mode else torch.no_grad():
                model(inputs)
            with torch.autocast("cpu") if amp else nullcontext():
                loss = nn.functional.mse_loss(predict(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield {"samples": len(inputs), "loss": loss.detach()}

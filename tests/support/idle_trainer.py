"""A trainer whose layers all do nothing, each in a way that is easily overlooked. For a machine without CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def forward(model: nn.Sequential, x: Tensor) -> Tensor:
    """What torch.compile gives up on: the loop cannot be left and entered again where a value is read."""
    for layer in model:
        x = layer(x)
        if x.abs().max().item() > 1e6:
            raise FloatingPointError("it explodes")
    return x


def train(  # type: ignore[no-untyped-def]  # as users write it
    *, other_device=False, disabled_scaler=False, pinned=False, never_called=False, falls_back=False,
    unused_optimizer=False, unused_loader=False, ignored=False, seed=0,
) -> Iterator[dict[str, object]]:  # fmt: skip
    """A regression on noise."""
    torch.manual_seed(seed)
    data = TensorDataset(torch.randn(512, 32), torch.randn(512, 1))
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))
    loader = DataLoader(data, batch_size=64, shuffle=True, pin_memory=pinned)
    _validation = DataLoader(data, batch_size=64, num_workers=2 if unused_loader else 0)
    optimizer = torch.optim.Adam(model.parameters())
    _spare = torch.optim.Adam(model.parameters(), fused=unused_optimizer)
    scaler = torch.amp.GradScaler(enabled=False) if disabled_scaler else None
    if never_called:
        torch.compile(model)
    predict = torch.compile(forward) if falls_back else forward
    while True:
        for inputs, targets in loader:
            with torch.autocast("cuda") if other_device else nullcontext():
                loss = nn.functional.mse_loss(predict(model, inputs), targets)
            optimizer.zero_grad()
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            yield {"samples": len(inputs), "loss": loss.detach()}

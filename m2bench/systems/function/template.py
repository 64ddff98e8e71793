"""A trainer that m2bench can measure. It imports nothing of m2bench: put your own model and data in their places.

m2bench needs three things of it:

1. ``train`` yields after every optimizer step.
2. Its parameters that default to False are the layers. m2bench switches each one on and off, alone and together.
3. It goes on for as long as it is asked to: a trial takes as many updates as it needs, and ends it.

Parameters that default to a number or a text keep it; ``m2bench scale --setting batch_size=64,256`` tries others.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

SAMPLES, FEATURES, CLASSES = 16_384, 256, 10

# All of this may be left out. What is claimed of a layer is tested; by how much its losses may differ from those
# without it is "exact" unless something else is said.
CLAIMS = {"amp": (1.5, 2.0), "fused": "1.1-1.3x"}
CONTRACTS = {"amp": 0.02}


def train(
    *,
    amp: bool = False,
    compile: bool = False,
    fused: bool = False,
    batch_size: int = 256,
    device: str = "cpu",
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """A small classifier on made-up data."""  # the first line names it in the report
    torch.manual_seed(seed)  # equal seeds must give equal losses, or numerics cannot be checked
    inputs = torch.randn(SAMPLES, FEATURES, device=device)
    labels = inputs[:, :CLASSES].argmax(dim=1)
    model = nn.Sequential(nn.Linear(FEATURES, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES))
    model.to(device)
    forward = torch.compile(model) if compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)
    autocast = torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=amp)

    while True:
        for batch in torch.randperm(SAMPLES, device=device).split(batch_size):
            with autocast:
                loss = nn.functional.cross_entropy(forward(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield {"samples": len(batch), "loss": loss}  # or just: yield len(batch)

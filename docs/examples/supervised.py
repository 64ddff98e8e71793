"""A plain supervised loop: images from a data loader, a small convolutional network."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

CLAIMS = {"workers": "1.3-1.8x", "channels_last": (1.1, 1.5)}
CONTRACTS = {"amp": 0.02, "channels_last": 1e-3}


class Stripes(Dataset[tuple[torch.Tensor, int]]):
    """Noisy images with stripes, down or across; made when asked for, as files would be read and decoded."""

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        generator = torch.Generator().manual_seed(index)
        image, label = torch.randn(3, 32, 32, generator=generator), index % 2
        stripes = torch.arange(32) // 4 % 2
        return image + (stripes if label else stripes[:, None]), label


def train(
    *,
    amp: bool = False,
    channels_last: bool = False,
    fused: bool = False,
    workers: bool = False,
    device: str = "cpu",
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """A small convolutional network that tells stripes down from stripes across."""
    torch.manual_seed(seed)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )
    model(torch.zeros(1, 3, 32, 32))  # LazyLinear finds its size
    model.to(device, memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        Stripes(), batch_size=64, shuffle=True, generator=order, num_workers=2 * workers, persistent_workers=workers
    )

    while True:
        for images, labels in loader:
            images = images.to(device, memory_format=layout)
            with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=amp):
                loss = nn.functional.cross_entropy(model(images), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield {"samples": len(images), "loss": loss}


if __name__ == "__main__":  # as a script of its own it still trains
    for step, told in zip(range(100), train(), strict=False):
        print(step, float(told["loss"]))

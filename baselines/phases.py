"""Marks in the trainer's code that tell whoever measures which phase it is in; next to free when nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

PHASES = {
    "feed": "wait for the next episodes",
    "copy": "host to device",
    "forward": "the policy's forward pass",
    "draw": "choosing the actions",
    "environment": "stepping the market",
    "loss": "returns and loss",
    "backward": "the gradient",
    "replicas": "wait for the other processes' gradients",
    "clip": "clipping the gradient",
    "optimizer": "the optimizer's step",
}

AroundPhase = Callable[[str], AbstractContextManager[object]]
"""Given the name of a phase, what is held around it."""

_UNWATCHED: AbstractContextManager[object] = nullcontext()
_around: AroundPhase | None = None


def phase(name: str) -> AbstractContextManager[object]:
    """Held around code that belongs to the phase ``name``, one of PHASES."""
    return _UNWATCHED if _around is None else _around(name)


@contextmanager
def phases_watched(around: AroundPhase) -> Iterator[None]:
    """Until the end, every phase of this process is entered through ``around``."""
    global _around
    before, _around = _around, around
    try:
        yield
    finally:
        _around = before

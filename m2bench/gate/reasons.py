"""What a check judges, and why a part of that was not compared or not checked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Aspect(StrEnum):
    """The three things that a check judges."""

    SPEED = "speed"
    COUNTS = "counts"
    AGREEMENT = "learning and numerics"


@dataclass(frozen=True)
class Reason:
    """Why a part of a check was not compared, or not checked. ``topic``: that part, in one word or by its name."""

    aspects: tuple[Aspect, ...]
    topic: str
    text: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.text}"

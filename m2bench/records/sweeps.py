"""What a sweep varies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """An option that is a number, of which a sweep tries several, and the word for what it is a number of."""

    option: str
    one: str
    many: str


@dataclass(frozen=True)
class Swept:
    """What a sweep of a system varies: an option of a layer, which otherwise has the value ``own``."""

    layer: str
    own: int
    by: Sweeps

"""What a scale run varies of a layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """An option of a layer that is a number, and 1 without the layer; the word for what it is a number of."""

    option: str
    one: str
    many: str

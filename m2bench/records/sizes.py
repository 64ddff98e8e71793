"""What ``scale`` varies of a layer: a size, as the number of environments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SizeOption:
    """An option of a layer that is a number, and 1 without the layer; the word for what it is a number of."""

    option: str
    one: str
    many: str

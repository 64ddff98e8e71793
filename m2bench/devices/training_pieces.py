"""What can be looked at piece by piece: the part of the interface of a system that looking needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Protocol

Units = int | Fraction
"""So many units the cost of a piece is for; a fraction where one piece stands for several others."""


class InPieces(Protocol):
    """What can be run in pieces whose phases can be watched."""

    def synchronize(self) -> None:
        """Wait until the device has done all its work."""

    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]:
        """Held around pieces whose phases are each entered through ``watch``, by the phase's name."""

    def pieces(self) -> Iterator[tuple[Callable[[], object], Units | None]]:
        """Pieces of training to be run in order, and for how many units each one's cost is.

        None: the piece only prepares the next one, and is not watched.
        """

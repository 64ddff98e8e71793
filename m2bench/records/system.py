"""What a system under test says of itself, as far as the harness asks: its unit, and what its layers are like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .spec import WorkloadSpec

Document = dict[str, Any]


@dataclass(frozen=True)
class Unit:
    """The word for what a system processes and its speed is counted in: one episode, many episodes.

    Keys of documents keep the names of the first system: ``episodes`` in a key means units, whatever they are called.
    """

    one: str = "unit"
    many: str = "units"

    def named(self, count: float) -> str:
        """The word for so many of them."""
        return self.one if count == 1 else self.many


@dataclass(frozen=True)
class Swept:
    """The option of a layer whose size a sweep varies, the run's own value, and the word for what it counts."""

    layer: str
    option: str
    own: int
    one: str
    many: str


def unit_of(described: Document) -> Unit:
    """The unit of the system that a description or a summary is of."""
    return Unit(**described["system"]["unit"])


def asked_of(workload: WorkloadSpec, description: Document) -> Document:
    """All that was asked of the system that describes itself so, with the options that it took by default."""
    return replace(workload, options={**description["workload"]["options"], **workload.options}).to_json()


def swept_by(description: Document) -> Swept | None:
    """What a sweep of the system varies; None where no layer has a size."""
    options = description["workload"]["options"]
    found = [
        Swept(layer["name"], own=options[layer["sweeps"]["option"]], **layer["sweeps"])
        for layer in description["layers"]
        if layer["sweeps"]
    ]
    return found[0] if found else None

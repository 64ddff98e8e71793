"""What the code of a side says of the machine and of itself, and what of that makes its figures comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from m2bench.records.same_machine import Facts, identity
from m2bench.records.spec import WorkloadSpec

MEMORY_DIGITS = -3  # of MB: whole GB, since a new kernel keeps some back


@dataclass(frozen=True)
class SideFacts:
    """``machine``: what must be equal for absolute speeds to be comparable. ``counted_by``: the version of m2bench and
    of its counting; counts of another one are not comparable. ``market``: name and SHA-256 of the training data.

    ``threads``: how many torch uses. ``works_ahead``: layers with processes that prepare episodes meanwhile.
    ``device_faults``: what the plain trainer gets wrong on the device; None from code that does not look.
    """

    machine: Facts
    counted_by: str
    market: tuple[str, str]
    threads: int | None = None
    works_ahead: frozenset[str] = frozenset()
    device_faults: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, description: Mapping[str, Any], device_faults: list[str] | None = None) -> SideFacts:
        """Read what a worker's ``describe`` and ``prepare`` say."""
        facts, market = description["machine"], description["workload"]["market"]
        machine = identity(facts, description["device"])
        return cls(
            machine=machine | {"memory_mb": round(facts["memory_mb"], MEMORY_DIGITS)},
            counted_by=f"m2bench {facts.get('m2bench')}, counting {description.get('counting')}",
            market=(market["name"], market["sha256"]),
            threads=description["device"].get("torch_threads"),
            works_ahead=frozenset(layer["name"] for layer in description["layers"] if layer.get("part") == "feed"),
            device_faults=None if device_faults is None else tuple(device_faults),
        )

    def workload(self, asked: WorkloadSpec) -> dict[str, object]:
        """What must be equal for any figures to be comparable: the options, and the market by its contents."""
        name, sha256 = self.market
        return {**asdict(asked), "data": name, "device": None, "sha256": sha256}

"""What the code of a side says of the machine and of itself, and what of that makes its figures comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from m2bench.records.combinations import Layers
from m2bench.records.description import Description, Device, Facts
from m2bench.records.refusals import refuse_wrong_device
from m2bench.records.same_machine import identity
from m2bench.records.spec import WorkloadSpec

MEMORY_DIGITS = -3  # of MB: whole GB, since a new kernel keeps some back


@dataclass(frozen=True)
class SideFacts:
    """A side's own description, and what its plain trainer gets wrong on the device; None where it does not look."""

    description: Description
    device_faults: tuple[str, ...] | None = None

    @property
    def device(self) -> Device:
        return self.description.device

    @property
    def machine(self) -> Facts:
        """What must be equal for absolute speeds to be comparable."""
        memory_mb = round(self.description.machine.memory_mb, MEMORY_DIGITS)
        return {**identity(self.description), "memory_mb": memory_mb}

    @property
    def counted_by(self) -> str:
        """What counted in the trials: another m2bench may count otherwise, and says so by a number of its own."""
        return f"m2bench {self.description.machine.m2bench}, counting {self.description.counting}"

    def workload(self, asked: WorkloadSpec) -> Facts:
        """What must be equal for any figures to be comparable: the options, and the data by their contents."""
        market = self.description.workload.market
        data = {"data": market.get("name"), "device": None, "sha256": market.get("sha256")}
        return {**self.description.asked_of(asked), **data}

    def works_ahead(self, layers: Layers) -> bool:
        """Whether processes of the combination's own go on while it waits."""
        return any(layer.works_ahead for layer in self.description.layers if layer.name in layers)


def changed_arithmetic(facts: Mapping[str, SideFacts]) -> str | None:
    """What the head's plain trainer gets wrong in single precision where the base's does not.

    Raises UserError where it is the device that computes wrongly: the base finds so as well, or does not look.
    """
    head = facts["head"]
    faults = head.device_faults or ()
    base_is_right = "base" in facts and facts["base"].device_faults == ()
    if not base_is_right:
        refuse_wrong_device(head.device, faults)
    if not faults:
        return None
    return f"the head's plain trainer in single precision is wrong where the base's is right: {'; '.join(faults)}"

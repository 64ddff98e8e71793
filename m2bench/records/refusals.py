"""What nothing is measured with: a device that computes wrongly, a layer that cannot run here."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from m2bench.errors import UserError

from .description import Description, Device

# Variables by which a user makes products of float32 matrices coarser on purpose.
COARSER = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")


def mark_of(faults: Sequence[str]) -> str:
    """What is added to the titles of figures where the device that they come from has ``faults``."""
    return " (on a device that computes wrongly)" if faults else ""


def wrong_device(device: Device, faults: Sequence[str]) -> str:
    """What is wrong with the device that describes itself so, in one clause."""
    return f"{device.device} computes wrongly in single precision ({'; '.join(faults)})"


def refuse_wrong_device(device: Device, faults: Sequence[str], may_go_on: bool = False) -> None:
    """Raise UserError where there are ``faults``; ``may_go_on``: the command has an option to do so."""
    if not faults:
        return
    remedies = [f"unset {name}" for name in COARSER if name in os.environ]
    remedies.append("choose another device with --device")
    remedies.append(f"try another version of torch ({device.torch} here), of the driver or of the operating system")
    if may_go_on:
        remedies.append("go on with --allow-wrong-device, which marks every figure")
    raise UserError(
        f"{wrong_device(device, faults)}: no figure measured on it would mean anything.",
        f"You can {', or '.join(remedies)}.",
    )


def refuse_unsupported(asked: Collection[str], description: Description, advice: str) -> None:
    """Raise UserError, with the advice, for the first layer of ``asked`` that cannot run where this was described."""
    for layer in description.layers:
        if layer.name in asked and layer.unsupported:
            raise UserError(f"the layer {layer.name} cannot run here: {layer.unsupported}.", advice)

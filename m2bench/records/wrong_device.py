"""What is said of a device that computes wrongly, and the refusal to measure on it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .description import Device
from .errors import UserError

OPTION = "--allow-wrong-device"
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
        remedies.append(f"go on with {OPTION}, which marks every figure")
    raise UserError(
        f"{wrong_device(device, faults)}: no figure measured on it would mean anything.",
        f"You can {', or '.join(remedies)}.",
    )

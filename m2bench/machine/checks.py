"""Is this machine fit for measuring? Each check finds one thing, and says what to do where that is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from m2bench.records.description import Description, Device, LayerDescription, Machine
from m2bench.records.results import RunConditions

from .cpu import busy_from
from .mps_features import LEAST_MACOS

LEAST_FREE_DISK_MB = 1000.0
LEAST_FREE_MEMORY_MB = 2000.0
HOPELESS_SD = 0.25  # of one trial: then not even 10 % can be told from nothing in a run of bearable length

State = Literal["bad", "note", "ok"]


@dataclass(frozen=True)
class Finding:
    """``bad``: do not measure here before ``fix`` is done; ``note``: to be known, without spoiling figures."""

    name: str
    state: State
    found: str
    fix: str = ""


def check_machine(
    description: Description,
    layers: Sequence[LayerDescription],
    conditions: RunConditions,
    trial_sd: float,
    folder: Path,
) -> list[Finding]:
    """All checks, the worst first. ``layers``: those taking part; ``folder``: where runs would be written."""
    machine, device = description.machine, description.device
    checks = [
        *_device(device),
        *_macos(machine, device),
        *_layers(layers),
        *_compiler(device),
        *_power_and_heat(conditions),
        *_load(conditions, machine.logical_cores, trial_sd),
        *_threads(machine, device),
        *_room(folder),
        *_environment(machine, device),
    ]
    order: list[State] = ["bad", "note", "ok"]
    return sorted(checks, key=lambda check: order.index(check.state))


def warnings_of_machine(machine: Machine, device: Device) -> list[str]:
    """What spoils every figure that is measured here, whatever happens during a run; each with what to do."""
    found = (*_device(device), *_macos(machine, device), *_environment(machine, device))
    return [f"{check.found}. {check.fix}".rstrip(".") for check in found if check.state == "bad"]


def _device(device: Device) -> Iterator[Finding]:
    name = device.device_name or ""
    if device.why_not_mps:
        yield Finding(
            "device", "bad", f"--device auto takes the {device.device} and not this Mac's GPU: {device.why_not_mps}",
            "Fix that, or name the device that you want with --device."
        )  # fmt: skip
    elif "paravirtual" in name.lower():
        yield Finding(
            "device", "bad", f"{name} is a virtual GPU, whose speed says nothing of a real one",
            "Measure on the machine itself, or use --device cpu."
        )  # fmt: skip
    else:
        yield Finding("device", "ok", " ".join(filter(None, (device.device, name))))
    for absent, why in device.absent_devices.items():
        yield Finding("device", "note", f"no {absent}: {why}")
    for missing in device.missing_features or ():
        yield Finding(
            "torch", "note",
            f"{missing.feature} needs {missing.needs}: {missing.otherwise} ({missing.source})",
            f"Install {missing.release} or newer." if missing.release else ""
        )  # fmt: skip


def _macos(machine: Machine, device: Device) -> Iterator[Finding]:
    version = machine.macos
    if version is None:
        return
    if int(version.split(".")[0]) >= LEAST_MACOS:
        yield Finding("macos", "ok", f"macOS {version}")
    else:
        state: State = "bad" if _runs_on_mps(device) else "note"
        yield Finding("macos", state, f"macOS {version}, and MPS needs {LEAST_MACOS}", "Update macOS.")


def _runs_on_mps(device: Device) -> bool:
    """Whether it is to be measured there: only such a device lacks features (mps_features.py)."""
    return device.missing_features is not None


def _compiler(device: Device) -> Iterator[Finding]:
    compiler, why_none = device.cpp_compiler, device.no_cpp_compiler_because
    if compiler:
        yield Finding("compiler", "ok", f"torch.compile by inductor uses {compiler}")
    elif why_none:
        yield Finding(
            "compiler", "note", f"{why_none}: without one no code is compiled for the CPU",
            "Install g++ or clang++ (on a Mac: xcode-select --install), or name one with CXX."
        )  # fmt: skip


def _layers(layers: Sequence[LayerDescription]) -> Iterator[Finding]:
    for layer in layers:
        if layer.unsupported:
            yield Finding("layer", "note", f"{layer.name} cannot run here: {layer.unsupported}",
                        "Fix that, or leave the layer out with --layers.")  # fmt: skip
    running = [layer.name for layer in layers if not layer.unsupported]
    yield Finding("layers", "ok", f"{len(running)} of {len(layers)} can run: {', '.join(running)}")


def _power_and_heat(conditions: RunConditions) -> Iterator[Finding]:
    if "battery" in conditions.power:
        yield Finding("power", "bad", "the machine runs on battery", "Connect it to the mains.")
    else:
        yield Finding("power", "ok", ", ".join(conditions.power) or "the power source is not known")
    if conditions.low_power:
        yield Finding("power", "bad", "low-power mode is on", "Switch it off in the system's settings.")
    pressed = sorted(set(conditions.thermal) - {"nominal"})
    if pressed:
        yield Finding("heat", "bad", f"thermal pressure is {', '.join(pressed)}", "Let it cool down.")
    else:
        yield Finding("heat", "ok", ", ".join(conditions.thermal) or "thermal pressure is not known")


def _load(conditions: RunConditions, cores: int, trial_sd: float) -> Iterator[Finding]:
    others = conditions.other_cores
    if others is not None and others > busy_from(cores):
        yield Finding("load", "bad", f"other processes keep {others:.1f} cores busy", "Close them; see which with top.")
    elif others is not None:
        yield Finding("load", "ok", f"other processes keep {others:.1f} cores busy")
    if trial_sd > HOPELESS_SD:
        yield Finding("noise", "bad", f"identical trials scatter by {trial_sd:.0%}",
                    "Find what else runs here; on a shared machine come back at a quieter time.")  # fmt: skip


def _threads(machine: Machine, device: Device) -> Iterator[Finding]:
    threads, cores = device.torch_threads, machine.physical_cores
    if cores and threads > cores:
        yield Finding("threads", "note", f"torch uses {threads} threads on {cores} physical cores",
                    f"Try OMP_NUM_THREADS={cores}.")  # fmt: skip
    else:
        yield Finding("threads", "ok", f"torch uses {threads} of {cores or 'an unknown number of'} physical cores")


def _room(folder: Path) -> Iterator[Finding]:
    memory_mb = psutil.virtual_memory().available / 1e6
    disk_mb = shutil.disk_usage(folder).free / 1e6
    for name, free_mb, least_mb, fix in (
        ("memory", memory_mb, LEAST_FREE_MEMORY_MB, "Close other programs: a trial that swaps cannot be measured."),
        ("disk", disk_mb, LEAST_FREE_DISK_MB, f"Free some space on the disk of {folder.resolve()}."),
    ):
        if free_mb < least_mb:
            yield Finding(name, "bad", f"{free_mb:,.0f} MB free, and {least_mb:,.0f} MB are needed", fix)
        else:
            yield Finding(name, "ok", f"{free_mb / 1e3:,.0f} GB free")


def _environment(machine: Machine, device: Device) -> Iterator[Finding]:
    variables = machine.environment
    if variables.get("PYTORCH_ENABLE_MPS_FALLBACK", "0") != "0":
        state: State = "bad" if _runs_on_mps(device) else "note"  # on any other device it does nothing
        yield Finding("environment", state, "PYTORCH_ENABLE_MPS_FALLBACK is set: on MPS, operators may run on the CPU "
                    "unseen", "Unset it.")  # fmt: skip
    others = [f"{name}={value}" for name, value in variables.items() if name != "PYTORCH_ENABLE_MPS_FALLBACK"]
    if others:
        yield Finding("environment", "note", f"set, and inherited by every trial: {', '.join(others)}")

"""What a device is, and which torch and which compiler drive it."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch

from m2bench.machine.mps_features import missing_features
from m2bench.records.description import Device
from m2bench.records.documents import read, to_json

from .compiler import describe_compiler
from .torch_device import PREFERENCE, absent_devices, resolve_device, torch_version, why_not_mps

# Statistics of operations (16), copies (32) and fallbacks (64) at the end of the process; and one operation per command
# buffer (4), since the time of a buffer is credited to every operation in it.
MPS_LOG = {"PYTORCH_MPS_LOG_PROFILE_INFO": "112", "PYTORCH_MPS_TRACE_SIGNPOSTS": "4"}


def describe_device(asked: str) -> Device:
    """What the device that was asked for is, and which torch drives it; UserError where it is not there."""
    device, absent = resolve_device(asked), absent_devices()
    facts: dict[str, Any] = {
        "device": device.type,
        "why_not_mps": why_not_mps(asked),
        "all_devices": [name for name in PREFERENCE if name not in absent],
        "absent_devices": absent,
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "torch_threads": torch.get_num_threads(),
        "thread_waiting": os.environ.get("OMP_WAIT_POLICY", "active").lower(),
        "keeps_memory": "MALLOC_TRIM_THRESHOLD_" in os.environ,
        # Importing the compiler initializes CUDA where there is a GPU, and a process that has done so must not fork.
        "fork_after_compiler_import": device.type == "cpu" and not torch.cuda.is_available(),
        **describe_compiler(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "device_name": properties.name,
            "device_telemetry": "nvml",
            "device_uuid": str(properties.uuid),
            "device_memory_mb": properties.total_memory / 1e6,
            "cuda": torch.version.cuda,
            "compute_capability": f"{properties.major}.{properties.minor}",
        }
    elif device.type == "mps":
        facts |= {
            "device_name": torch.backends.mps.get_name(),
            "device_telemetry": "ioreg",
            "device_log_environment": MPS_LOG,
            "gates": [to_json(missing) for missing in missing_features(torch_version())],
            "device_cores": torch.backends.mps.get_core_count(),
        }
    else:
        facts |= {"device_name": platform.processor() or platform.machine(), "cpu_capability": _cpu_capability()}
    return read(Device, facts)


def _cpu_capability() -> str:
    return torch.backends.cpu.get_cpu_capability()

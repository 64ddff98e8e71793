"""What machine this is: everything beside the device that decides how fast it computes."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import psutil

from m2bench import __version__
from m2bench.records.description import Machine
from m2bench.records.documents import read

from .cpu import STEADY
from .system_tools import answer_of

# Variables that change how torch computes; those that are set are recorded.
RELEVANT = ("OMP_", "MKL_", "KMP_", "OPENBLAS_", "GOMP_", "PYTORCH_", "TORCH", "CUDA_", "NVIDIA_", "TRITON_", "MALLOC_")

# Set by the harness for every worker alike, with paths that mean nothing elsewhere.
OWN = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_WARM_POOL")


def describe_machine() -> Machine:
    """Chip, cores, memory, system, power source, Python, m2bench and the environment variables that matter."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    facts = {
        "chip": _chip(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "memory_mb": psutil.virtual_memory().total / 1e6,
        "system": f"{platform.system()} {platform.release()}",
        "macos": platform.mac_ver()[0] or None,
        "macos_build": (answer_of("sw_vers", "-buildVersion") or None) if sys.platform == "darwin" else None,
        "power": None if battery is None else ("mains" if battery.power_plugged else "battery"),
        "python": platform.python_version(),
        "m2bench": __version__,
        "environment": {
            k: v
            for k, v in sorted(os.environ.items())
            if k.startswith(RELEVANT) and k not in OWN and STEADY.get(k) != v
        },
    }
    return read(Machine, facts)


def fast_cores() -> int:
    """Physical cores that this process may use, on a Mac those of performance alone; at least 1."""
    if sys.platform == "darwin":
        told = answer_of("sysctl", "-n", "hw.perflevel0.physicalcpu") or ""
        cores = int(told) if told.isdigit() else 0
    else:
        allowed = usable_cores()
        cores = min(psutil.cpu_count(logical=False) or allowed, allowed)
    return max(cores, 1)


def usable_cores() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1


def _chip() -> str:
    if sys.platform == "darwin":
        return answer_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

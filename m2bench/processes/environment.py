"""The surroundings of every worker: variables and how its interpreter is started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from m2bench.machine.cpu import STEADY
from m2bench.options.known_systems import PROGRAMS
from m2bench.records.spec import WorkloadSpec

# Variables that a worker inherits; everything else of the shell stays outside the experiment.
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SDKROOT",
    "CC",
    "CXX",
)


INHERITED_PREFIXES = (
    "LC_", "PYTHON", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "GOMP_", "PYTORCH_", "TORCH", "CUDA_", "NVIDIA_", "TRITON_",
    "DYLD_", "XDG_", "MALLOC_",
)  # fmt: skip


def worker_environment(work: Path) -> dict[str, str]:
    """The environment of every worker: a fixed part of the shell's, and caches that belong to this run."""
    inherited = {k: v for k, v in os.environ.items() if k in INHERITED or k.startswith(INHERITED_PREFIXES)}
    # Compiled code is kept within the run: its first use is cold, later ones are warm, whatever ran before.
    return {
        **STEADY,  # unless the shell says otherwise
        **inherited,
        "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"),
        "TRITON_CACHE_DIR": str(work / "triton"),
        "TORCH_WARM_POOL": "0",  # no compiler processes before there is something to compile
        "PYTHONUNBUFFERED": "1",
    }


def users_environment(workload: WorkloadSpec) -> dict[str, str | None]:
    """What workers inherit beside that: all of the shell's where they run the user's code, which may ask for it.

    A program of the user's has just that: what every other worker has is taken out (None).
    """
    ours = dict.fromkeys(worker_environment(Path()) if workload.module in PROGRAMS else ())
    return {**ours, **shell_environment()} if workload.folder else {}


def shell_environment() -> dict[str, str]:
    """What this process was started with: without LC_CTYPE where Python itself has set it, for a shell that sets none.

    Programs such as grep and sort are several times slower with one than without.
    """
    found = dict(os.environ)
    with suppress(OSError):  # not on a Mac, whose Python does not set it either
        if b"LC_CTYPE=" not in Path("/proc/self/environ").read_bytes():
            found.pop("LC_CTYPE", None)
    return found


SAFE_PATH = "-P"  # a checkout in the working directory must not stand in for the installed package

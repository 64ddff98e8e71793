"""Everything that depends on the device. Nothing else asks which device this is."""

from __future__ import annotations

import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity

from m2bench.machine.torch_features import is_usable, missing_features
from m2bench.records.errors import UserError

from .energy import Counter, RaplCounter, apple_counter, nvml_counter

CANARY_SIZE = 512
CANARY_PRODUCTS = 8
CANARY_S = 0.1  # in all: a single series takes milliseconds, and tells more of the moment than of the machine
CANARY_LEAST = 3  # series
PEAK_SIZES = {"cpu": (256, 512, 1024), "cuda": (2048, 4096, 8192), "mps": (1024, 2048, 4096)}
PEAK_PRODUCTS = 10
# Statistics of operations (16), copies (32) and fallbacks (64) at the end of the process; and one operation per command
# buffer (4), since the time of a buffer is credited to every operation in it.
MPS_LOG = {"PYTORCH_MPS_LOG_PROFILE_INFO": "112", "PYTORCH_MPS_TRACE_SIGNPOSTS": "4"}
PREFERENCE = ("mps", "cuda", "cpu")


def resolve_device(name: str) -> torch.device:
    """The device called ``name``, or for ``auto`` the first of mps, cuda, cpu that can be used.

    Raises UserError when the named device cannot be used.
    """
    if name == "auto":
        return torch.device(next(device for device in PREFERENCE if _why_absent(device) is None))
    why_absent = _why_absent(name)
    if why_absent is not None:
        there = [device for device in PREFERENCE if _why_absent(device) is None]
        raise UserError(
            f"device {name!r} is not available: {why_absent}",
            f"Use --device {' or '.join(there)}, or --device auto.",
        )
    return torch.device(name)


def why_not_mps(asked: str) -> str | None:
    """Why ``auto`` does not take the GPU that every Mac has on which this torch runs, or None."""
    return _why_absent("mps") if asked == "auto" and sys.platform == "darwin" else None


@cache
def _why_absent(name: str) -> str | None:
    """Why this device cannot be used here, or None where it can."""
    if name == "cpu":
        return None
    if name == "cuda":
        return None if torch.cuda.is_available() else _why_no_cuda()
    if not torch.backends.mps.is_built():
        return f"this build of torch ({torch.__version__}) has no MPS; it needs an Apple-silicon Mac with macOS 14"
    if not torch.backends.mps.is_available():
        return "torch has MPS, but macOS offers no usable GPU (macOS 14 or newer on Apple silicon is needed)"
    return _why_mps_fails()


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return f"this build of torch ({torch.__version__}) has no CUDA"
    return "torch has CUDA, but finds no usable NVIDIA GPU or driver"


def _why_mps_fails() -> str | None:
    """Why a small product cannot be had from MPS, or None.

    In some virtual machines torch calls it available, and every allocation fails (actions/runner-images#9918).
    """
    size = 64
    try:
        ones = torch.ones(size, size, device="mps")
        product = (ones @ ones).cpu()
    except RuntimeError as error:
        return f"torch finds MPS, but nothing can be computed there ({str(error).splitlines()[0]})"
    right = bool((product == size).all())
    return None if right else "torch finds MPS, but a product of ones is wrong there"


def synchronize(device: torch.device) -> None:
    """Wait until everything submitted to the device is done."""
    if device.type == "mps":
        torch.mps.synchronize()
    elif device.type == "cuda":
        torch.cuda.synchronize(device)


def canary_s(device: torch.device) -> float:
    """Seconds of a fixed series of matrix products: the median of as many as take CANARY_S, after one not counted.

    What interrupts fewer than half of them does not move it.
    """
    matrix = torch.full((CANARY_SIZE, CANARY_SIZE), 1 / CANARY_SIZE, device=device)
    _products_s(matrix)
    series_s: list[float] = []
    while len(series_s) < CANARY_LEAST or sum(series_s) < CANARY_S:
        series_s.append(_products_s(matrix))
    return median(series_s)


def _products_s(matrix: Tensor) -> float:
    synchronize(matrix.device)
    begin = time.perf_counter()
    for _ in range(CANARY_PRODUCTS):
        matrix = matrix @ matrix
    synchronize(matrix.device)
    return time.perf_counter() - begin


def matmul_peak_flops(device: torch.device) -> float:
    """Floating-point operations per second of the fastest float32 matrix product among some sizes.

    Larger ones are left out where the device has no room for them, as the virtual GPU of some hosted Macs
    (actions/runner-images#11899). Raises RuntimeError where it has none for the smallest.
    """
    smallest, *larger = PEAK_SIZES[device.type]
    flops = [_matmul_flops(device, smallest)]
    with suppress(RuntimeError):
        for size in larger:
            flops.append(_matmul_flops(device, size))  # noqa: PERF401 (those before an error count)
    return max(flops)


def _matmul_flops(device: torch.device, size: int) -> float:
    """Of products of square matrices: 2 n^3 operations each, the best of some."""
    matrix = torch.full((size, size), 1 / size, device=device)
    fastest_s = math.inf
    for _ in range(PEAK_PRODUCTS):
        synchronize(device)
        begin = time.perf_counter()
        matrix @ matrix
        synchronize(device)
        fastest_s = min(fastest_s, time.perf_counter() - begin)
    return 2 * size**3 / fastest_s


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; without waiting only where that is safe.

    An asynchronous copy to MPS can read memory that has been freed (pytorch/pytorch#139550),
    and on CUDA it needs a page-locked source.
    """
    return tensor.to(device, non_blocking=device.type == "cuda" and tensor.is_pinned())


def honours_pinning(device: torch.device) -> bool:
    """Whether page-locked host memory is of any use: on CUDA alone. torch switches it off on MPS."""
    return device.type == "cuda"


def worker_start_method(device: torch.device) -> str:
    """How data-loading processes are started: forked on Linux, as torch does, spawned elsewhere.

    A process that has used MPS must not fork.
    """
    return "fork" if sys.platform == "linux" and device.type != "mps" else "spawn"


def autocast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on the CPU; float16 elsewhere (the M2 emulates bfloat16)."""
    return torch.bfloat16 if device.type == "cpu" else torch.float16


def why_no_autocast(device: torch.device) -> str | None:
    """Why mixed precision with fused Adam cannot run here, or None.

    On MPS, fused Adam ignored the gradient scaler's skipped steps before torch 2.13
    (pytorch/pytorch#186360).
    """
    if device.type == "mps" and not is_usable("fused_scaler", torch_version()):
        return f"float16 with fused Adam on MPS needs torch 2.13 or newer, this is {torch.__version__}"
    return None


def compile_backend(device: torch.device) -> str:
    """Backend of torch.compile: inductor; on MPS aot_eager, as the claim has it."""
    return "aot_eager" if device.type == "mps" else "inductor"


def compiler_threads(device: torch.device) -> int:
    """Threads that compile at once: C++ kernels by threads of ours, which wait when there is nothing to compile.

    Triton's would be processes, which outlive their work and would disturb the timed window.
    """
    return (os.cpu_count() or 1) if device.type == "cpu" else 1


def probe_compiler() -> None:
    """Let inductor find out about this CPU's vector instructions, once for all processes forked from this one."""
    from torch._inductor.cpu_vec_isa import supported_vec_isa_list, valid_vec_isa_list, x86_isa_checker

    if _why_no_cpp_compiler() is None:
        known = {*x86_isa_checker()}
        # Each is tried by a compilation of some seconds, whose outcome torch keeps: as many at once as there are cores.
        with ThreadPoolExecutor() as pool:
            list(pool.map(bool, [isa for isa in supported_vec_isa_list if {*str(isa).split()} <= known]))
        valid_vec_isa_list()


def why_no_compile(device: torch.device, backend: str) -> str | None:
    """Why torch.compile cannot run here, or None."""
    if backend != "inductor":
        return None
    if device.type == "mps":
        if not is_usable("inductor", torch_version()):
            return f"compiled LayerNorm is wrong on MPS before torch 2.13, this is {torch.__version__}"
        return None
    return _why_no_triton() if device.type == "cuda" else _why_no_cpp_compiler()


def check_compile_backend(name: str) -> None:
    """UserError when torch.compile knows no backend of that name."""
    known = torch.compiler.list_backends(exclude_tags=())
    if name not in known:
        raise UserError(f"--compile-backend {name!r} is not known to torch.", f"Use one of: {', '.join(known)}.")


def _why_no_triton() -> str | None:
    from torch.utils._triton import has_triton

    if not has_triton():
        return "inductor needs Triton, which is not installed or does not know this GPU"
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return "inductor needs a C compiler for Triton's launchers, and none is on the PATH"
    return None


def _why_no_cpp_compiler() -> str | None:
    """Asks inductor itself, so that the answer is the one it will act on."""
    from torch._inductor import exc
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        compiler = get_cpp_compiler()
    except (exc.InvalidCxxCompiler, RuntimeError) as error:
        return f"inductor needs a C++ compiler and found none that works ({str(error).splitlines()[0]})"
    if shutil.which(compiler) is None:
        return f"inductor needs a C++ compiler, and {compiler!r} is not on the PATH"
    return None


def describe_compiler() -> dict[str, str | None]:
    """The C++ compiler that inductor would use, with its version; or why there is none."""
    missing = _why_no_cpp_compiler()
    if missing is not None:
        return {"cpp_compiler": None, "no_cpp_compiler_because": missing}
    from torch._inductor.cpp_builder import get_cpp_compiler

    compiler = get_cpp_compiler()
    answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    version = next(iter(answer.stdout.splitlines()), "which does not tell its version")
    return {"cpp_compiler": f"{compiler}: {version}", "no_cpp_compiler_because": None}


def torch_version() -> tuple[int, int]:
    """Major and minor version of torch."""
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "mps" and is_usable("peak_memory", torch_version()):
        torch.accelerator.reset_peak_memory_stats()


def peak_memory_mb(device: torch.device) -> tuple[float | None, float]:
    """Peak memory in MB (10^6 bytes) of the device's allocator since the reset, and of this process on the host.

    The device figure is None on the CPU, and on MPS before torch 2.13, which cannot tell it.
    """
    device_mb = None
    if device.type == "cuda":
        device_mb = torch.cuda.max_memory_allocated(device) / 1e6
    elif device.type == "mps" and is_usable("peak_memory", torch_version()):
        device_mb = torch.accelerator.max_memory_allocated() / 1e6
    # Kibibytes on Linux, bytes on macOS (getrusage(2) of each).
    unit = 1 if sys.platform == "darwin" else 1024
    return device_mb, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def allocated_mb(device: torch.device) -> Callable[[], float] | None:
    """Reads how many MB the device's allocator has handed out; None where torch.profiler records that itself."""
    return (lambda: torch.mps.current_allocated_memory() / 1e6) if device.type == "mps" else None


def profiler_activities(device: torch.device) -> list[ProfilerActivity]:
    """What torch.profiler can record with this device."""
    cuda = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    return [ProfilerActivity.CPU, *cuda]


def why_no_kernel_times(device: torch.device) -> str:
    """Why torch.profiler shows no kernels of this device."""
    if device.type == "mps":
        return "torch.profiler has no MPS activity; the device's own log is read instead"
    if device.type == "cuda":
        return "torch.profiler recorded none; another profiler may hold CUPTI"
    return "on the CPU an operator is its own kernel"


def settings(device: torch.device) -> dict[str, Callable[[], object]]:
    """What reads torch's settings that matter on this device alone, by their names."""
    backends = torch.backends
    if device.type == "cpu":
        return {
            "mkldnn": lambda: backends.mkldnn.enabled,
            "mkldnn matmul precision": lambda: torch._C._get_fp32_precision_getter("mkldnn", "matmul"),
        }
    if device.type != "cuda":
        return {}
    matmul = backends.cuda.matmul
    return {
        "cudnn": lambda: backends.cudnn.enabled,
        "cudnn benchmark": lambda: backends.cudnn.benchmark,
        "cudnn deterministic": lambda: backends.cudnn.deterministic,
        "CUDA convolution precision": lambda: torch._C._get_fp32_precision_getter("cuda", "conv"),
        "CUDA matmul precision": lambda: torch._C._get_fp32_precision_getter("cuda", "matmul"),
        "sums in float16": lambda: matmul.allow_fp16_reduced_precision_reduction,
        "sums in bfloat16": lambda: matmul.allow_bf16_reduced_precision_reduction,
        "allocator": torch.cuda.get_allocator_backend,
        "pinned blocks": lambda: torch.cuda.host_memory_stats().get("active_requests.current"),
    }


def captured(path: str | None) -> AbstractContextManager[object]:
    """Held around work that is written as a Metal capture to ``path``, to be opened in Xcode; None: nothing is."""
    return nullcontext() if path is None else torch.mps.profiler.metal_capture(path)


def energy_counter(device: torch.device) -> Counter | None:
    """A function that reads the joules used since some fixed moment; None where this machine does not tell."""
    # Whatever a vendor's library raises where it finds no counter, there is none.
    with suppress(Exception):
        if device.type == "cuda":
            return nvml_counter(str(torch.cuda.get_device_properties(device).uuid))
        return apple_counter() if sys.platform == "darwin" else RaplCounter()
    return None


def describe_asked_device(name: str) -> dict[str, Any]:
    """What the device that ``name`` asks for is; UserError where it is not there."""
    return {**describe_device(resolve_device(name)), "why_not_mps": why_not_mps(name)}


def describe_device(device: torch.device) -> dict[str, Any]:
    """What the device is and which torch drives it."""
    facts: dict[str, Any] = {
        "device": device.type,
        "all_devices": [name for name in PREFERENCE if _why_absent(name) is None],
        "absent_devices": {name: why for name in PREFERENCE if (why := _why_absent(name)) is not None},
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "torch_threads": torch.get_num_threads(),
        "thread_waiting": os.environ.get("OMP_WAIT_POLICY", "active").lower(),
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
            "gates": missing_features(torch_version()),
            "device_cores": torch.backends.mps.get_core_count(),
        }
    else:
        facts |= {"device_name": platform.processor() or platform.machine(), "cpu_capability": _cpu_capability()}
    return facts


def _cpu_capability() -> str:
    return torch.backends.cpu.get_cpu_capability()

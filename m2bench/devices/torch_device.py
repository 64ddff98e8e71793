"""Which devices torch can use here, and what has to be done differently on each."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache, partial
from multiprocessing import active_children

import psutil
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity

from m2bench.errors import UserError
from m2bench.machine.identity import fast_cores as fast_cores  # for the layers
from m2bench.machine.mps_features import is_usable
from m2bench.records.results import PeakMemory

from .energy import Counter, RaplCounter, apple_counter, nvml_counter

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


def absent_devices() -> dict[str, str]:
    """Why each device that cannot be used here cannot."""
    return {name: why for name in PREFERENCE if (why := _why_absent(name)) is not None}


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
    waiting_for(device)()


def waiting_for(device: torch.device) -> Callable[[], None]:
    """What does that, for those who wait often: a CPU has done what it was asked for, and costs nothing."""
    if device.type == "mps":
        return torch.mps.synchronize
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else _nothing


def _nothing() -> None:
    pass


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


def why_no_graphs(device: torch.device) -> str | None:
    """Why launches cannot be recorded as a CUDA graph, or None."""
    return None if device.type == "cuda" else f"CUDA graphs record what is launched on an NVIDIA GPU, not on {device}"


def why_no_replicas(device: torch.device) -> str | None:
    """Why forked processes cannot compute side by side on this device, or None."""
    if device.type != "cpu":
        return f"its processes would all compute on one device, {device}"
    if worker_start_method(device) != "fork":
        return "its processes are forked, which is not safe on this system"
    return None if fast_cores() > 1 else "it needs two cores, and there is one"


def torch_version() -> tuple[int, int]:
    """Major and minor version of torch."""
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "mps" and is_usable("peak_memory", torch_version()):
        torch.accelerator.reset_peak_memory_stats()


def peak_memory_mb(device: torch.device) -> PeakMemory:
    """Peak memory in MB (10^6 bytes) of the device's allocator since the reset, and of the host.

    The device figure is None on the CPU, and on MPS before torch 2.13, which cannot tell it. On the host it is this
    process's own peak, and what those that it has started with multiprocessing (data loaders, replicas) now hold for
    themselves alone.
    """
    device_mb = None
    if device.type == "cuda":
        device_mb = torch.cuda.max_memory_allocated(device) / 1e6
    elif device.type == "mps" and is_usable("peak_memory", torch_version()):
        device_mb = torch.accelerator.max_memory_allocated() / 1e6
    # Kibibytes on Linux, bytes on macOS (getrusage(2) of each).
    unit = 1 if sys.platform == "darwin" else 1024
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return PeakMemory(device_mb, own_mb + sum(_unshared_mb(child.pid) for child in active_children() if child.pid))


def _unshared_mb(process_id: int) -> float:
    """What would be free if the process ended; 0 where that cannot be seen, as when it has."""
    try:
        return float(psutil.Process(process_id).memory_full_info().uss) / 1e6
    except psutil.Error:
        return 0.0


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

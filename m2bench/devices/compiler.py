"""The compiler behind torch.compile: whether it can run on a device, by which backend and with what."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import torch

from m2bench.machine.mps_features import is_usable
from m2bench.records.errors import UserError

from .torch_device import torch_version


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

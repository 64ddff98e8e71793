"""The compiler behind torch.compile: whether it can run on a device, by which backend and with what."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from m2bench.errors import UserError
from m2bench.machine.mps_features import is_usable
from m2bench.records.results import Proof

from .torch_device import torch_version


class Compiled:
    """A compiled function of tensors. Shapes are static, and a graph that breaks is an error, not a slow path.

    ``backend``: None for that of the device.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device, backend: str | None):
        import torch._inductor.config

        self.backend = backend or compile_backend(device)
        self.calls = 0
        self.recompiles = 0
        torch._inductor.config.compile_threads = compiler_threads(device)
        self._compiled = torch.compile(function, backend=self.backend, fullgraph=True, dynamic=False)

    def __call__(self, *inputs: Tensor) -> Any:
        self.calls += 1
        self._last = [(x.shape, x.requires_grad) for x in inputs], torch.is_grad_enabled()
        return self._compiled(*inputs)

    def compiled_regions(self, device: torch.device, autocast: AbstractContextManager[object]) -> int:
        """How many compiled regions one more call like the last one runs through, as torch's profiler sees them."""
        shapes, grad = self._last
        inputs = [torch.zeros(shape, device=device, requires_grad=needs) for shape, needs in shapes]
        with (
            torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler,
            torch.set_grad_enabled(grad),
            autocast,
        ):
            self._compiled(*inputs)
        events = profiler.profiler.kineto_results.events()
        return sum(event.name().startswith("Torch-Compiled Region") for event in events)


@contextmanager
def no_recompiles(compiled: Sequence[Compiled]) -> Iterator[None]:
    """Held around calls that graphs which are there must serve: a recompile is an error. Counts them, and calls."""
    from torch._dynamo.utils import get_compilation_metrics

    compilations = len(get_compilation_metrics())
    for each in compiled:
        each.calls = 0
    torch.compiler.set_stance("fail_on_recompile")
    try:
        yield
    finally:
        torch.compiler.set_stance("default")
        for each in compiled:
            each.recompiles = len(get_compilation_metrics()) - compilations


def prove_compiled(
    compiled: Sequence[Compiled],
    what: str,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Proof:
    """Whether these were compiled and called, since calls were last counted; evidence is of what is least of them.

    ``what`` they are, for the reason.
    """
    from torch._dynamo.utils import counters

    calls = [each.calls for each in compiled]
    regions = [each.compiled_regions(device, autocast()) for each in compiled] if all(calls) else [0]
    graphs = int(counters["stats"]["unique_graphs"])
    evidence = {
        "backend": compiled[0].backend,
        "graphs": graphs,
        "calls": min(calls),
        "compiled_regions_per_call": min(regions),
        "recompiles": compiled[0].recompiles,
        "cache": _cache(),
    }
    reason = None
    if not min(calls):
        reason = f"the compiled {what} was never called"
    elif not graphs:
        reason = f"torch.compile produced no graph and ran the {what} as it is"
    elif not min(regions):
        reason = f"a call of the compiled {what} runs through no compiled code"
    return Proof(reason is None, evidence, reason)


def _cache() -> str | None:
    """Whether inductor had to compile ("cold") or found everything compiled ("warm"); None for other backends."""
    from torch._dynamo.utils import counters

    if counters["inductor"]["fxgraph_cache_miss"]:
        return "cold"
    found = counters["inductor"]["fxgraph_cache_hit"] or counters["aot_autograd"]["autograd_cache_hit"]
    return "warm" if found else None


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


def why_no_compile(device: torch.device, backend: str | None) -> str | None:
    """Why torch.compile cannot run here, or None. ``backend``: None for that of the device."""
    if (backend or compile_backend(device)) != "inductor":
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

"""A Mac with an Apple GPU, for tests on Linux: run by every Python process that finds this file in PYTHONPATH.

Real are: workers as fresh interpreters, data-loading processes by ``spawn``, tensors handed over by ``file_system``,
and every process and file of a command, but for the pictures of its report. The CPU answers to the device's name
"mps", and ``bin/``, to be put first in PATH, has the system's tools. What only a Mac can show stays open: kernels,
their speed and their errors.

``PYTHONMACSTANDIN`` (a name that workers inherit): "mps"; "no-mps", where macOS offers none; or "broken-mps", which is
said to be there and allocates nothing, like that of some hosted runners.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

KIND = os.environ.get("PYTHONMACSTANDIN")
# Before anything else is imported, orig_argv alone tells what this process will be.
WORDS = sys.orig_argv
FUNCTIONS = ("zeros", "ones", "full", "empty", "tensor", "is_autocast_enabled")

Hook = Callable[[Any], None]


class AfterImport(MetaPathFinder):
    """Calls a hook with each of some modules, once, when it has been imported."""

    def __init__(self, hooks: dict[str, Hook]):
        self.hooks = hooks

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        hook = self.hooks.pop(name, None)  # so that the next line does not come back here
        spec = importlib.util.find_spec(name) if hook else None
        if hook is None or spec is None or spec.loader is None:
            return None
        spec.loader.exec_module = functools.partial(self._run, spec.loader.exec_module, hook)  # type: ignore[method-assign]
        return spec

    @staticmethod
    def _run(execute: Callable[[ModuleType], None], hook: Hook, module: ModuleType) -> None:
        execute(module)
        hook(module)


class DarwinSys:
    """The module sys as it is on a Mac, for modules that ask for the platform."""

    platform = "darwin"

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def on_darwin(module: Any) -> None:
    module.sys = DarwinSys()


def without_childrens_times(psutil: Any) -> None:
    """macOS tells no CPU seconds of a process's children."""
    cpu_times = psutil.Process.cpu_times
    psutil.Process.cpu_times = lambda self: cpu_times(self)._replace(children_user=0.0, children_system=0.0)


def on_mps(function: Callable[..., Any], answer: Callable[[], Any]) -> Callable[..., Any]:
    """The function, which gets the answer wherever it is given "mps" or torch.device("mps")."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        def replaced(value: Any) -> Any:
            return answer() if type(value).__name__ in ("str", "device") and str(value) == "mps" else value

        return function(*map(replaced, args), **{name: replaced(value) for name, value in kwargs.items()})

    return call


def out_of_memory() -> None:
    raise RuntimeError("MPS backend out of memory (MPS allocated: 0 bytes, max allowed: 7.93 GB)")


def with_apples_gpu(torch: Any) -> None:
    """Everything of torch that is asked of MPS."""
    torch.multiprocessing.set_sharing_strategy("file_system")  # as torch has it on macOS
    torch.backends.mps.is_built = lambda: True
    torch.backends.mps.is_available = lambda: KIND != "no-mps"
    torch.backends.mps.get_name = lambda: "Apple M2"
    torch.backends.mps.get_core_count = lambda: 8
    torch.mps.synchronize = lambda: None
    torch.mps.current_allocated_memory = lambda: 1_000_000
    torch.accelerator.reset_peak_memory_stats = lambda: None
    torch.accelerator.max_memory_allocated = lambda: 2_000_000
    answer = out_of_memory if KIND == "broken-mps" else lambda: "cpu"
    torch.Tensor.to = on_mps(torch.Tensor.to, answer)
    torch.nn.Module.to = on_mps(torch.nn.Module.to, answer)
    for name in FUNCTIONS:
        setattr(torch, name, on_mps(getattr(torch, name), answer))
    scaler = torch.amp.GradScaler
    torch.amp.GradScaler = lambda *args, **kwargs: on_mps(scaler, answer)(*args, **kwargs)

    class Autocast(torch.autocast):  # type: ignore[misc]
        __init__ = on_mps(torch.autocast.__init__, answer)

    torch.autocast = Autocast


def counting_mps(counters: Any) -> None:
    """What is on the CPU is on the device that it stands in for."""
    counters.CountingMode._is_here = lambda self, tensor: tensor.device.type == self.device_type.replace("mps", "cpu")


def slower_than_apples(device_speed: Any) -> None:
    """A product of Apple's largest matrices takes the CPU a second, and a peak is the best of ten."""
    device_speed.PEAK_SIZES["mps"] = device_speed.PEAK_SIZES["cpu"]


def without_pictures(_: Any) -> None:
    """They are drawn as on Linux, and take seconds."""
    import laid_out
    import pytest

    laid_out.leave_pictures_empty(pytest.MonkeyPatch())


def write_mps_log() -> None:
    """What PYTORCH_MPS_LOG_PROFILE_INFO leaves: per update 100 products of 0.01 ms each and 10 draws of 0.02 ms."""
    updates = json.loads(sys.argv[1])["updates"]
    rows = (("G1", 100, 0.01, "aten::addmm:f32[1,128]"), ("K2", 10, 0.02, "argmax:MPS:Float[1, 3]"))
    lines = [
        f"{' MPS Operations Profiling: 1 graphs, 1 kernels ':-^120}",
        f"{'ID':^6}|{'#Runs':^7}|{'Mean KRNL(ms)':^15}|{'Mean GPU(ms)':^14}|{'Total GPU(ms)':^15}| Operation Name",
        *(
            f"{key:^7}{runs * updates:^8}{'0.001':^16}{ms:^15.3f}{runs * updates * ms:^16.3f} {name}"
            for key, runs, ms, name in rows
        ),
        "There are no CPU Fallbacks logged for profiling",
    ]
    os.write(2, "\n".join(lines).encode() + b"\n")


if KIND:
    if "m2bench.worker.launcher" in WORDS:
        sys.platform = "darwin"  # it imports little beside itself, and nothing that minds
    if "m2bench.worker.spawned_worker" in WORDS and "PYTORCH_MPS_LOG_PROFILE_INFO" in os.environ:
        atexit.register(write_mps_log)
    hooks = {
        **dict.fromkeys(
            ("m2bench.machine.conditions", "m2bench.machine.identity", "m2bench.devices.torch_device"), on_darwin
        ),
        "m2bench.devices.counters": counting_mps,
        "m2bench.devices.device_speed": slower_than_apples,
        "m2bench.report.ablation_report": without_pictures,
        "psutil": without_childrens_times,
        "torch": with_apples_gpu,
    }
    sys.meta_path.insert(0, AfterImport(hooks))

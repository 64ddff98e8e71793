"""What one update asks of torch and of others, as a record that two trials can be compared by.

torch.profiler sees the operators with what they are given, those of the backward pass among them, calls of compiled
graphs, optimizer steps and batches of data loaders. It changes nothing of what it sees. Only the host's side is
recorded: to record the device's can slow down all later launches. So copies of pinned memory cannot be told from
others, but what the host does to get them can (docs/decisions/022-fingerprints.md).
"""

from __future__ import annotations

import functools
import gc
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from typing import Any

import psutil
import torch
from torch import Tensor
from torch._C._autograd import _enable_record_function, _profiler_enabled
from torch._C._profiler import RecordScope, _EventType
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile

from m2bench.records.results import Calls, Fingerprint

from . import torch_device

STEP = "Optimizer.step#"
LOADER = "enumerate(DataLoader)#"
# What torch records of a compiled graph where the graph is called, and not where code was only looked at for one.
GRAPH = "Pregraph bytecode"
COMPILED_GRAPH = "## Call CompiledFxGraph"
# By what is entered or replayed, as torch.profiler does not tell.
MODES: dict[str, tuple[Any, str]] = {
    "inference mode": (torch.inference_mode, "__enter__"),
    "stream": (torch.cuda.StreamContext, "__enter__"),
    "graph replay": (torch.cuda.CUDAGraph, "replay"),
}
# Processes and threads that torch and Python start for themselves, by words of their command lines and names: how many
# there are depends on what is compiled anew.
NOT_OF_THE_TRAINER = ("compile_worker", "resource_tracker", "forkserver", "ThreadPoolExecutor", "_read_thread")
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
DIGEST_BYTES = 8


class Watch:
    """Sees what is asked while it is entered. Where another profiler is or gets to work, nothing is seen."""

    def __init__(self, device: torch.device):
        self._device = device
        self._profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
        self._modes: Counter[str] = Counter()
        self._watches = ExitStack()
        self._sees = not _profiler_enabled()

    def __enter__(self) -> Watch:
        for name, (owner, method) in MODES.items():
            self._watches.enter_context(_counted(owner, method, name, self._modes))
        if self._sees:
            self._watches.push(self._profiler.__enter__())
        return self

    def __exit__(self, *exc: Any) -> None:
        self._sees = self._sees and _profiler_enabled()
        self._watches.__exit__(*exc)

    def fingerprint(self, update: int) -> Fingerprint | None:
        """That of the update of this number, which has just been seen; None where nothing could be."""
        if not self._sees:
            return None
        assert self._profiler.profiler is not None
        assert self._profiler.profiler.kineto_results is not None
        operators: dict[str, tuple[int, int]] = {}
        compiled, optimizers, loaders = Counter[str](), Counter[str](), Counter[str]()
        for name, fields in _calls(self._profiler.profiler.kineto_results.experimental_event_tree()):
            if name.startswith(STEP):
                optimizers[name.removeprefix(STEP).removesuffix(".step")] += 1
            elif name.startswith(LOADER):
                loaders[name.removeprefix(LOADER).removesuffix(".__next__")] += 1
            elif name.startswith((GRAPH, COMPILED_GRAPH)):
                compiled[name.strip("# ")] += 1
            elif _is_operator(name, fields):
                key, given = _described(name, fields, self._device)
                calls, digest = operators.get(key, (0, 0))
                operators[key] = calls + 1, digest + given
        return Fingerprint(
            update=update,
            operators={key: Calls(calls, _hex(digest)) for key, (calls, digest) in sorted(operators.items())},
            compiled=compiled,
            optimizers=optimizers,
            loaders=loaders,
            helpers=_helpers(),
            modes=self._modes,
            settings=_settings(self._device),
            weights=_digest_of(_trained(optimizers)),
        )


def _stop_recording() -> None:
    """In a process that was forked while its parent was watched: nobody would ever read what it records."""
    if _profiler_enabled():
        _enable_record_function(False)


os.register_at_fork(after_in_child=_stop_recording)


@contextmanager
def _counted(owner: Any, method: str, name: str, counts: Counter[str]) -> Iterator[None]:
    """Until the end, calls of a method of a class are counted under ``name``."""
    plain = getattr(owner, method)

    @functools.wraps(plain)
    def counted(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return plain(*args, **kwargs)

    setattr(owner, method, counted)
    try:
        yield
    finally:
        setattr(owner, method, plain)


def _calls(roots: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Name and fields of everything that was recorded, whatever called it."""
    waiting = list(roots)
    while waiting:
        event = waiting.pop()
        waiting += event.children
        kind, fields = event.typed
        if kind == _EventType.TorchOp:
            yield fields.name, fields


def _is_operator(name: str, fields: Any) -> bool:
    """Whether it is an operator or a node of the backward pass, and not a range that somebody has named."""
    if fields.scope == RecordScope.BACKWARD_FUNCTION:
        return not name.startswith("autograd::")
    return bool(fields.scope == RecordScope.FUNCTION) and "::" in name


def _described(name: str, fields: Any, device: torch.device) -> tuple[str, int]:
    """The operator with the types of its tensors, and a number for all that it was given, order and layout included.

    Of the numbers for several calls the sum tells which calls they were, in whatever order.
    """
    inputs = fields.inputs
    types = dict.fromkeys(_type_of(tensor, device) for tensor in _tensors_in(inputs))
    with_gradient = fields.sequence_number >= 0
    given = [with_gradient, *map(_given, inputs)]
    return f"{name}({', '.join(types)})", _number(repr(given))


def _tensors_in(inputs: Iterable[Any]) -> Iterator[Any]:
    for value in inputs:
        if isinstance(value, list):
            yield from _tensors_in(value)
        elif hasattr(value, "sizes"):
            yield value


def _type_of(tensor: Any, device: torch.device) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return dtype if tensor.device.type == device.type else f"{dtype} on {tensor.device.type}"


def _given(value: Any) -> Any:
    """What is to be told apart of an argument: a tensor's sizes and strides, a number itself."""
    if isinstance(value, list):
        return [_given(each) for each in value]
    return (value.sizes, value.strides, str(value.dtype), str(value.device)) if hasattr(value, "sizes") else value


@functools.lru_cache(maxsize=4096)
def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=DIGEST_BYTES).digest())


def _hex(number: int) -> str:
    return f"{number % 2 ** (8 * DIGEST_BYTES):x}"


def _helpers() -> dict[str, int]:
    """Processes below this one, and its threads by what they run."""
    found: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may end meanwhile
            if process.status() != psutil.STATUS_ZOMBIE and _is_of_the_trainer(" ".join(process.cmdline())):
                found["process"] += 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and _is_of_the_trainer(thread.name):
            found[f"thread {re.sub('[0-9]+', '', thread.name)}"] += 1
    return found


def _is_of_the_trainer(words: str) -> bool:
    return not any(word in words for word in NOT_OF_THE_TRAINER)


def _settings(device: torch.device) -> dict[str, str]:
    """Torch's settings that change how fast this device computes, or what."""
    found: dict[str, Callable[[], object]] = {
        "threads": torch.get_num_threads,
        "threads between operators": torch.get_num_interop_threads,
        "default dtype": torch.get_default_dtype,
        "float32 matmul precision": torch.get_float32_matmul_precision,
        "deterministic": torch.are_deterministic_algorithms_enabled,
        "anomaly detection": torch.is_anomaly_enabled,
        "gradients": torch.is_grad_enabled,
        "inference mode": torch.is_inference_mode_enabled,
        "denormals flushed": lambda: sys.float_info.min / 2 == 0,
        **torch_device.settings(device),
    }
    told = {}
    for name, read in found.items():
        with suppress(RuntimeError):  # torch refuses to tell a precision that was set in the old and in the new way
            told[name] = str(read())
    return told


def _trained(stepped: Mapping[str, int]) -> list[Tensor]:
    """The weights of all optimizers that step: that keep a state, and those of classes that step without one.

    They are found among all objects: because of a hook on their steps, compiled ones would be compiled again.
    """
    gc.collect()  # those that nobody uses any more
    every = [each for each in gc.get_objects() if issubclass(type(each), Optimizer)]
    stateless = stepped.keys() - {type(each).__name__ for each in every if each.state}
    used = [each for each in every if each.state or type(each).__name__ in stateless]
    return [*{id(one): one for each in used for group in each.param_groups for one in group["params"]}.values()]


def _digest_of(weights: Iterable[Tensor]) -> str | None:
    """A number for the bits of all these; None where there are none, or where they cannot be read."""
    found = list(weights)
    try:
        with torch.no_grad():
            sums = [
                weight.detach().contiguous().view(INTEGERS[weight.element_size()]).sum(dtype=torch.int64)
                for weight in found
            ]
            return _hex(sum(int(each) for each in sums)) if sums else None
    except (KeyError, RuntimeError, TypeError, NotImplementedError):  # sparse, sharded, or of a class of its own
        return None

"""What one update asks of torch and of others, as a record that two trials can be compared by.

Operators are seen by a TorchDispatchMode, below autograd and autocast, in the backward pass and in compiled code as
far as that calls any. Code runs compiled under it as it always does. What else is asked is seen by wrapping the few
functions of torch that it passes through (docs/decisions/027-fingerprints.md).
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
from torch._dynamo import utils as dynamo
from torch.autograd.profiler import record_function
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode

from m2bench.records.results import Calls, Fingerprint

from . import torch_device
from .counters import tensors_in

STEP = re.compile(r"Optimizer\.step#(.+)\.step")
LOADER = re.compile(r"enumerate\(DataLoader\)#(.+)\.__next__")
MOST_DESCRIBED = 20_000
"""Calls of operators that are told apart by what they are given; later ones by their operators alone."""
# Processes and threads that torch and Python start for themselves, by words of their command lines and names: how many
# there are depends on what is compiled anew.
NOT_OF_THE_TRAINER = ("compile_worker", "resource_tracker", "forkserver", "ThreadPoolExecutor", "_read_thread")
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
DIGEST_BYTES = 8


class FingerprintRecorder:
    """Sees what is asked while it is entered, by this thread and by the backward passes that it starts."""

    def __init__(self, device: torch.device):
        self._device = device
        self._operators = _Operators(device)
        self._compiled, self._optimizers, self._loaders, self._modes = (Counter[str]() for _ in range(4))
        self._watches = ExitStack()

    def __enter__(self) -> FingerprintRecorder:
        def count(counts: Counter[str], name: str) -> Callable[..., None]:
            def counted(*args: object) -> None:
                counts[name] += 1

            return counted

        # A compiled graph is called after this, whatever compiled it, and code that was given up does not come here.
        self._wrap(dynamo, "record_pregraph_bytecode_enter", count(self._compiled, "graph"))
        if inductor := sys.modules.get("torch._inductor.output_code"):  # without it nothing was compiled so
            self._wrap(inductor.CompiledFxGraph, "__call__", self._note_inductor_graph)
        self._wrap(record_function, "__enter__", self._note_range)
        self._wrap(torch.inference_mode, "__enter__", count(self._modes, "inference mode"))
        self._wrap(torch.cuda.StreamContext, "__enter__", count(self._modes, "stream"))
        self._wrap(torch.cuda.CUDAGraph, "replay", count(self._modes, "graph replay"))
        self._watches.enter_context(self._operators)
        return self

    def __exit__(self, *exc: Any) -> None:
        self._watches.__exit__(*exc)

    def _wrap(self, owner: Any, name: str, note: Callable[..., None]) -> None:
        self._watches.enter_context(_noted(owner, name, note))

    def _note_inductor_graph(self, graph: Any, *args: object) -> None:
        self._compiled[f"inductor {graph._fx_graph_cache_key}"] += 1  # holds its options

    def _note_range(self, entered: record_function) -> None:
        for pattern, counts in ((STEP, self._optimizers), (LOADER, self._loaders)):
            if found := pattern.fullmatch(entered.name):
                counts[found[1]] += 1

    def fingerprint(self, update: int) -> Fingerprint:
        """That of the update of this number, which has just been seen."""
        return Fingerprint(
            update=update,
            operators=self._operators.calls(),
            compiled=self._compiled,
            optimizers=self._optimizers,
            loaders=self._loaders,
            helpers=_helpers(),
            modes=self._modes,
            settings=_settings(self._device),
            weights=_digest_of(_trained(self._optimizers)),
        )


@contextmanager
def _noted(owner: Any, name: str, note: Callable[..., None]) -> Iterator[None]:
    """Until the end, ``note`` is given what a function or method is called with, before it is."""
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def noted(*args: Any, **kwargs: Any) -> Any:
        note(*args)
        return plain(*args, **kwargs)

    setattr(owner, name, torch._dynamo.disable(noted))
    try:
        yield
    finally:
        setattr(owner, name, plain)


class _Operators(TorchDispatchMode):
    """Counts calls of operators while it is entered, by name and types, with a digest of all that they are given."""

    supports_higher_order_operators = True

    def __init__(self, device: torch.device):
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self._counts: Counter[str] = Counter()
        self._digests: Counter[str] = Counter()
        self._described = 0

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Compiled code runs as it always does, instead of being compiled anew or skipped."""
        return True

    @torch._dynamo.disable
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        self._note(str(func), [*args, *kwargs.values()])
        return func(*args, **kwargs)

    def _note(self, name: str, given: list[Any]) -> None:
        if self._described < MOST_DESCRIBED:
            self._described += 1
            types = dict.fromkeys(_type_of(tensor, self._device) for tensor in tensors_in(given))
            name = f"{name}({', '.join(types)})"
            modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            # Of the numbers for several calls the sum tells which calls they were, in whatever order.
            self._digests[name] += _number(repr((modes, [_given(value, self._device) for value in given])))
        self._counts[name] += 1

    def calls(self) -> dict[str, Calls]:
        return {name: Calls(count, _hex(self._digests[name])) for name, count in sorted(self._counts.items())}

    def __enter__(self) -> _Operators:
        _entered.append(self)
        return super().__enter__()  # type: ignore[no-any-return, no-untyped-call]

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        _entered.pop()


_entered: list[_Operators] = []


def _leave() -> None:
    """In a process that was forked while its parent was watched: it would be watched for as long as it lives."""
    while _entered:
        _entered.pop()
        _pop_mode()


os.register_at_fork(after_in_child=_leave)


def _type_of(tensor: Tensor, device: torch.device) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return dtype if tensor.device.type == device.type else f"{dtype} on {tensor.device.type}"


def _given(value: Any, device: torch.device) -> Any:
    """What is to be told apart of an argument: of a tensor all but its values, of other objects their class."""
    if isinstance(value, (list, tuple)):
        return [_given(each, device) for each in value]
    if isinstance(value, Tensor):
        pinned = value.device.type != device.type and value.is_pinned()
        strides = value.stride() if value.layout == torch.strided else value.layout
        return tuple(value.shape), strides, value.dtype, value.device, pinned
    plain = (bool, int, float, complex, str, torch.dtype, torch.device, torch.layout, torch.memory_format)
    return value if value is None or isinstance(value, plain) else type(value).__name__


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

"""What a piece of training asks of its device, counted: integers that depend on the code, not on the machine's noise.

Every operator that PyTorch's dispatcher hands to a device is seen, below autograd and autocast. Kernels that
torch.compile has fused are called past the dispatcher, and are not among them; the matrix products of compiled code
are.
"""

from __future__ import annotations

import linecache
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from m2bench.records.results import Counts

from .training_pieces import InPieces

aten = torch.ops.aten

COUNTING = 3
"""To be raised whenever the same code is counted otherwise: counts of different values are not compared."""

# The host cannot go on without what these compute: the size or the value of something on the device.
WAITS = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.nonzero,
    aten.masked_select,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.allclose,
    aten.bincount,
    aten.repeat_interleave,
}
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
ALLOCATIONS = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided}
MULTIPLY_ADD = 2  # operations
HALF_BYTES = 2  # of a number in float16 or bfloat16


def _linear_flops(x: Tensor, weight: Tensor, *rest: object, out_val: object = None) -> int:
    """Of x @ weight.T: what torch's formulas have as mm and addmm is an operator of its own on MPS."""
    return MULTIPLY_ADD * x.numel() * weight.shape[0]


def _linear_backward_flops(
    x: Tensor, gradient: Tensor, weight: Tensor, wanted: Sequence[bool], out_val: object = None
) -> int:
    """Of the gradients of input and weight, as far as they are wanted."""
    return MULTIPLY_ADD * x.numel() * weight.shape[0] * (bool(wanted[0]) + bool(wanted[1]))


OWN_FORMULAS: dict[Any, Callable[..., int]] = {
    aten.linear: _linear_flops,
    aten.linear_backward: _linear_backward_flops,
}
# Where a call is only passed on: torch, code without a file, and this room.
PASSING_ON = (str(Path(torch.__file__).parent), "<", str(Path(__file__).parent))
PASSES_CALLS_ON = "PASSES_CALLS_ON"
"""A module of another room that stands between torch and the trainer has a constant of this name."""
# They make a tensor on a device of the host's data, and copy that past the dispatcher; and which argument is the data.
CONSTRUCTORS = ((torch, "tensor", 0), (torch, "as_tensor", 0), (torch, "asarray", 0), (Tensor, "new_tensor", 1))

UNCOUNTED_PHASE = "feed"
COUNTED = (
    "dispatches", "kernels", "flops", "half_flops", "bytes", "product_bytes", "syncs", "copies", "doubles",
)  # fmt: skip
PLACED = ("syncs", "copies", "doubles")


@dataclass
class PieceCounts:
    """Of one piece of training. What has its place is counted by the line of source code that led to it."""

    dispatches: int = 0
    """Operators handed to the device: those with a tensor there among what they take or give."""
    kernels: int = 0
    """Those of them that compute: neither views nor allocations. Each is at least one kernel of the device."""
    flops: int = 0
    """Floating-point operations of the matrix products, by torch's own formulas (torch.utils.flop_counter)."""
    half_flops: int = 0
    """Those of them in a format of 16 bits."""
    bytes: int = 0
    """Of the tensors on the device that kernels take and give, whether or not a cache holds them."""
    product_bytes: int = 0
    """Those that matrix products take and give."""
    syncs: Counter[str] = field(default_factory=Counter)
    """Where the host waits for a value that the device computes; on the CPU the value is there at once."""
    copies: Counter[str] = field(default_factory=Counter)
    """Where tensors move between host and device; none on the CPU."""
    doubles: Counter[str] = field(default_factory=Counter)
    """Where the device is asked to compute in float64."""

    def total(self, name: str) -> int:
        value: int | Counter[str] = getattr(self, name)
        return value if isinstance(value, int) else value.total()


class CountingMode(TorchDispatchMode):
    """Counts, while it is entered, what is asked of ``device``; what the host does for itself beside one is not."""

    def __init__(self, device: torch.device):
        super().__init__()  # type: ignore[no-untyped-call]
        self.device_type = device.type
        self.counts = PieceCounts()
        self._counting = True
        self._watches = ExitStack()

    def __enter__(self) -> CountingMode:
        self._watches.enter_context(self.watch_constructors())
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)  # type: ignore[no-untyped-call]
        self._watches.close()

    def watch_constructors(self) -> AbstractContextManager[object]:
        """Until the end, CONSTRUCTORS called by their names in torch pass through ``construct``."""
        wrappers = ExitStack()
        if self.device_type != "cpu":
            for owner, name, place in CONSTRUCTORS:
                wrappers.enter_context(_wrapped(owner, name, place, self.construct))
        return wrappers

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Held around a phase of a system: nothing is counted while it prepares episodes."""
        self._counting = name != UNCOUNTED_PHASE
        try:
            yield
        finally:
            self._counting = True

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Compiled code runs as it always does, instead of being compiled anew or skipped."""
        return True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return func(*(self._counted(arg) if callable(arg) else arg for arg in args), **kwargs)
        result = self.run(func, args, kwargs)
        if self._counting:
            self._count(func, args, kwargs, result)
        return result

    supports_higher_order_operators = True

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What an operator is given to run, as a scan its step: each time that it does, that is counted."""

        def run(*args: Any) -> Any:
            TorchDispatchMode.__enter__(self)
            try:
                return function(*args)
            finally:
                TorchDispatchMode.__exit__(self, None, None, None)

        return run

    def run(self, func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Let the device do it."""
        return func(*args, **kwargs)

    def _count(self, func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        counts, operator = self.counts, _operator(func)
        involved = list(tensors_in((*args, *kwargs.values(), result)))
        here = [tensor for tensor in involved if self._is_here(tensor)]
        if not here:
            return
        counts.dispatches += 1
        counts.kernels += operator.computes
        size = sum(tensor.numel() * tensor.element_size() for tensor in here)
        counts.bytes += operator.computes * size
        if operator.flops is not None:
            flops = operator.flops(*args, **kwargs, out_val=result)
            counts.flops += flops
            counts.half_flops += flops * any(tensor.element_size() == HALF_BYTES for tensor in here)
            counts.product_bytes += size
        if operator.copies:
            self._count_copy(*(args[:2] if operator.in_place else (result, args[0])))
        elif operator.indexes:
            self._count_indices([index for index in args[1] if index is not None])
        elif operator.waits:
            counts.syncs[calling_line()] += 1
        if any(tensor.dtype is torch.float64 for tensor in here):
            counts.doubles[calling_line()] += 1

    def _count_copy(self, target: Tensor, source: Tensor) -> None:
        if target.device.type == source.device.type:
            return
        self.counts.copies[calling_line()] += 1
        # A copy to the host is waited for, whoever asked for it.
        if self._is_here(source):
            self.counts.syncs[calling_line()] += 1

    def _count_indices(self, indices: list[Tensor]) -> None:
        """The operator itself takes over what lies on the host, and waits for the size of what a mask there picks."""
        here = [index for index in indices if self._is_here(index)]
        if len(here) < len(indices):
            self.counts.copies[calling_line()] += len(indices) - len(here)
        if has_mask(here):
            self.counts.syncs[calling_line()] += 1

    def construct(self, construct: Callable[[], Tensor], data: Any) -> Tensor:
        """Let one of CONSTRUCTORS make a tensor of ``data``; of some data the dispatcher sees the copy itself."""
        seen = self.counts.copies.total()
        made = construct()
        of_the_host = not isinstance(data, Tensor) and self.counts.copies.total() == seen
        if of_the_host and self._is_here(made):
            self.count_unseen_copy()
            if self._counting and made.dtype is torch.float64:
                self.counts.doubles[calling_line()] += 1
        return made

    def count_unseen_copy(self) -> None:
        """One of the host's data to the device, past the dispatcher."""
        if self._counting:
            self.counts.copies[calling_line()] += 1

    def _is_here(self, tensor: Tensor) -> bool:
        return tensor.device.type == self.device_type


@dataclass(frozen=True)
class _Operator:
    """What is to be known of an operator to count it."""

    computes: bool
    waits: bool
    indexes: bool
    copies: bool
    in_place: bool
    flops: Callable[..., int] | None


@cache
def _operator(func: OpOverload) -> _Operator:
    packet = func.overloadpacket
    return _Operator(
        computes=not func.is_view and packet not in ALLOCATIONS,
        waits=packet in WAITS,
        indexes=packet in INDEXED,
        copies=packet in (aten._to_copy, aten.copy_),
        in_place=packet is aten.copy_,
        flops=flop_registry.get(packet) or OWN_FORMULAS.get(packet),
    )


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors among the values and in their lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors_in(value)


def has_mask(indices: Sequence[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


@contextmanager
def _wrapped(owner: Any, name: str, place: int, call: Callable[[Callable[[], Tensor], Any], Tensor]) -> Iterator[None]:
    """Until the end, the constructor ``name`` is called by ``call``, which is given its data as well."""
    construct = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Tensor:
        return call(lambda: construct(*args, **kwargs), given_data(place, args, kwargs))

    setattr(owner, name, wrapped)
    try:
        yield
    finally:
        setattr(owner, name, construct)


def given_data(place: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a constructor that takes its data at ``place`` was given."""
    return args[place] if len(args) > place else kwargs.get("data", kwargs.get("obj"))


def calling_line() -> str:
    """The innermost line that led here and does not only pass a call on: "baselines/rollout.py:42 action = ..."."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _passes_on(frame):
        frame = frame.f_back
    if frame is None:
        return "unknown"
    path = Path(frame.f_code.co_filename)
    text = linecache.getline(str(path), frame.f_lineno).strip()
    return f"{path.parent.name}/{path.name}:{frame.f_lineno} {text}"


def _passes_on(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(PASSING_ON) or PASSES_CALLS_ON in frame.f_globals


def count_pieces(system: InPieces, device: torch.device) -> Counts:
    """Counts per episode of one pass over a system's pieces, and the lines they come from.

    A piece for None episodes is run without being counted. So is the phase in which episodes are prepared: that is the
    host's work, and how much of it falls into a piece depends on when other processes deliver.
    """
    per_episode: dict[str, float] = defaultdict(float)
    lines: dict[str, dict[str, float]] = {name: defaultdict(float) for name in PLACED}
    for piece, episodes in system.pieces():
        if episodes is None:
            piece()
            continue
        with CountingMode(device) as mode, system.watch_phases(mode.phase):
            piece()
        for name in COUNTED:
            per_episode[name] += float(mode.counts.total(name) / episodes)
        for name in PLACED:
            for line, count in getattr(mode.counts, name).items():
                lines[name][line] += float(count / episodes)
    return Counts(per_episode, lines)

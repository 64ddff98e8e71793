"""Training on torch's meta device, which computes nothing, as a stand-in for a device that is not there.

Every operator is dispatched as it would be there, and mixing it with the host raises as it would there. What the meta
device lacks is put in its place: values that are read back are 0, and fused Adam and gradient scaling leave their
tensors as they are. Autocast does not know it and is left out; compiled code runs as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.optim import optimizer as torch_optimizer
from torch.overrides import TorchFunctionMode

from m2bench.baselines.algorithms import make_trainer
from m2bench.baselines.episodes import EpisodeSource
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import Alone, Parts, policy_as_it_is
from m2bench.baselines.rollout import make_python_loop
from m2bench.baselines.trainer import Trainer
from m2bench.devices.counters import CONSTRUCTORS, CountingMode, calling_line, given_data, has_mask, tensors_in

aten = torch.ops.aten
META = torch.device("meta")
PASSES_CALLS_ON = True  # what is counted here is asked by the trainer (counters.calling_line)
FUSED_LIST = "_get_fused_kernels_supported_devices"  # torch's own, of devices that have a fused Adam
DATA_AT = {getattr(owner, name): place for owner, name, place in CONSTRUCTORS}
INDEXING = {Tensor.__getitem__, Tensor.__setitem__}
# Work in place, and have no version for the meta device.
IN_PLACE = {aten._fused_adam_, aten._amp_foreach_non_finite_check_and_unscale_, aten._amp_update_scale_}


def _places(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.int64, device=META)


# Operators whose result has a size, or a value, that only the data tell; here as if all elements were taken.
SIZED_BY_VALUES: dict[Any, Callable[..., Any]] = {
    aten.nonzero: lambda x: torch.empty((x.numel(), x.dim()), dtype=torch.int64, device=META),
    aten.masked_select: lambda x, mask: x.new_empty(max(x.numel(), mask.numel())),
    aten._unique2: lambda x, *rest, **options: (x.new_empty(x.numel()), _places(x.numel()), _places(x.numel())),
    aten.unique_dim: lambda x, *rest, **options: (x.clone(), _places(x.shape[0]), _places(x.shape[0])),
    aten.unique_consecutive: lambda x, *rest, **o: (x.new_empty(x.numel()), _places(x.numel()), _places(x.numel())),
    aten.bincount: lambda x, *rest, **options: _places(max(1, x.numel())),
    aten.repeat_interleave: lambda repeats, **options: _places(repeats.numel()),
    aten.equal: lambda x, other: True,
    aten.allclose: lambda x, other, *rest, **options: True,
}


def _as_places(index: Tensor | None) -> Tensor | None:
    """A mask as the places of all its elements along the first of its dimensions."""
    if index is None or index.dtype not in (torch.bool, torch.uint8):
        return index
    return _places(index.numel())


class HostData(TorchFunctionMode):
    """Tells a dry run of Python's own data on their way to the device, which its dispatcher does not see.

    However the function that takes them was imported. Where compiled code runs, which this mode would make compile
    anew, CountingMode has to do with wrapping the names in torch.
    """

    def __init__(self, run: DryRun):
        super().__init__()
        self._run = run

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if func in DATA_AT:
            return self._run.construct(lambda: func(*args, **kwargs), given_data(DATA_AT[func], args, kwargs))
        if func in INDEXING and args[0].is_meta:
            indices = args[1] if isinstance(args[1], tuple) else (args[1],)
            for _ in filter(lambda index: isinstance(index, Sequence), indices):  # each is made a tensor there
                self._run.count_unseen_copy()
        return func(*args, **kwargs)


class DryRun(CountingMode):
    """Counts what the meta device is asked, by operator; and the lines of those that ``watched`` picks."""

    def __init__(self, watched: Callable[[str, str], bool]):
        super().__init__(META)
        self._watched = watched
        self.operators: Counter[tuple[str, str]] = Counter()
        self.lines: dict[tuple[str, str], Counter[str]] = {}
        self.stopped_at: str | None = None
        """What the stand-in itself has no kernel for, and so could not be gone beyond."""

    def watch_constructors(self) -> AbstractContextManager[object]:
        """In place of the wrappers."""
        return HostData(self)

    def run(self, func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("device") == META or any(tensor.is_meta for tensor in tensors_in(args)):
            self._note(func)
        packet = func.overloadpacket
        if packet in IN_PLACE:
            return args[0] if func._schema.returns else None
        if packet in SIZED_BY_VALUES and any(tensor.is_meta for tensor in tensors_in(args)):
            return SIZED_BY_VALUES[packet](*args, **kwargs)
        if packet is aten.index and args[0].is_meta and has_mask(args[1]):
            return func(args[0], [_as_places(index) for index in args[1]], **kwargs)
        if packet is aten._local_scalar_dense and args[0].is_meta:
            return torch.zeros((), dtype=args[0].dtype).item()
        if packet is aten._to_copy and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if packet is aten.copy_ and args[1].is_meta and not args[0].is_meta:
            return args[0].zero_()
        try:
            return func(*args, **kwargs)
        except NotImplementedError:
            self.stopped_at = f"{func._schema.name.removeprefix('aten::')}, at {calling_line()}"
            raise

    def _note(self, func: OpOverload) -> None:
        name = func._schema.name.removeprefix("aten::"), func._overloadname
        self.operators[name] += 1
        if self._watched(*name):
            self.lines.setdefault(name, Counter())[calling_line()] += 1


def dry_trainer(parts: Parts, source: EpisodeSource, settings: Hyperparameters) -> Trainer:
    """A trainer on the meta device; to be made and used within ``fused_adam_allowed``."""
    # Only what the policy computes matters here, and compiled it computes the same, as do other processes.
    as_it_is = replace(parts, forward=policy_as_it_is, loop=make_python_loop, replicas=Alone)
    trainer = make_trainer(as_it_is, source, settings, 0, META)
    trainer.precision.autocast = lambda: nullcontext()  # type: ignore[method-assign]
    return trainer


@contextmanager
def fused_adam_allowed() -> Iterator[None]:
    """Let fused Adam take parameters on the meta device, which torch's own list leaves out."""
    listed = getattr(torch_optimizer, FUSED_LIST)
    setattr(torch_optimizer, FUSED_LIST, lambda: [*listed(), META.type])
    try:
        yield
    finally:
        setattr(torch_optimizer, FUSED_LIST, listed)

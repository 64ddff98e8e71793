"""How long forward passes of the policy take, by batch size, precision and compilation. Runs in a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor, nn

from m2bench.baselines.environment import STATE_SIZE
from m2bench.devices import compiler, torch_device
from m2bench.records.inspected import PassTime

GROUPS = 5  # of passes between two synchronizations; their median counts
WARM_PASSES = 20
LEAST_PASSES = 10
GROUP_S = 0.1  # a group at larger batches is as many passes as fit, but LEAST_PASSES if so many were asked for


def time_forward(
    policy: nn.Module, device: torch.device, sizes: Sequence[int], passes: int, backend: str
) -> list[PassTime]:
    """One for each batch size and variant: ms per pass, or why there is none. Nothing is differentiated.

    ``passes``: how many are timed at batch size 1, in GROUPS of equal size, after WARM_PASSES; at larger ones at most
    as many.
    """
    from torch._inductor import config as inductor_config  # here, since every worker imports this module

    inductor_config.compile_threads = compiler.compiler_threads(device)
    found: list[PassTime] = []
    dtype = torch_device.autocast_dtype(device)
    why_not_amp, why_not_compile = torch_device.why_no_autocast(device), compiler.why_no_compile(device, backend)
    for precision, context, why_not in (
        ("float32", nullcontext, None),
        (f"amp {str(dtype).removeprefix('torch.')}", lambda: torch.autocast(device.type, dtype=dtype), why_not_amp),
    ):
        for compiled in (False, True):
            reason = why_not or (why_not_compile if compiled else None)
            for size in sizes:
                cell = PassTime(batch=size, precision=precision, compiled=compiled, reason=reason)
                used = backend if compiled else None
                found.append(cell if reason else _timed(cell, policy, device, passes, context, used))
    return found


def _timed(
    cell: PassTime,
    policy: nn.Module,
    device: torch.device,
    passes: int,
    context: Callable[[], AbstractContextManager[object]],
    backend: str | None,
) -> PassTime:
    """Compiled by ``backend``, or as it is where that is None."""
    torch.compiler.reset()
    forward = torch.compile(policy, backend=backend, fullgraph=True, dynamic=False) if backend else policy
    states = torch.randn(cell.batch, STATE_SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad(), context():
        _pass_s(forward, states, device, WARM_PASSES)
        fitting = max(LEAST_PASSES, int(GROUP_S / _pass_s(forward, states, device, LEAST_PASSES)))
        each = min(passes // GROUPS, fitting) if cell.batch > 1 else passes // GROUPS
        seconds = [_pass_s(forward, states, device, each) for _ in range(GROUPS)]
    milliseconds = [1e3 * s for s in seconds]
    least, most = min(milliseconds), max(milliseconds)
    return replace(cell, ms=median(milliseconds), ms_least=least, ms_most=most, passes=GROUPS * each)


def _pass_s(forward: Callable[[Tensor], Tensor], states: Tensor, device: torch.device, passes: int) -> float:
    """Seconds of one pass, of so many submitted one after the other."""
    torch_device.synchronize(device)
    begin = time.perf_counter()
    for _ in range(passes):
        forward(states)
    torch_device.synchronize(device)
    return (time.perf_counter() - begin) / passes

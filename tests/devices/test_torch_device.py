"""What is asked of torch about its devices."""

from __future__ import annotations

import resource
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pytest
import torch

from m2bench.devices import torch_device

MB = 10**6


def _hold(end: Connection, read: bytearray, megabytes: int) -> None:
    own = b"1" * (megabytes * MB)
    end.send(sum(read[::4096]) + len(own))
    end.recv()


def test_memory_of_other_processes_is_what_they_do_not_share(cpu: torch.device) -> None:
    if torch_device.worker_start_method(cpu) != "fork":
        pytest.skip("processes are not forked here")
    context, shared = get_context("fork"), bytearray(b"1" * (100 * MB))
    before = torch_device.peak_memory_mb(cpu).host
    assert before is not None
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB
    assert before == pytest.approx(own_mb, rel=0.01)
    ours, theirs = context.Pipe()
    children = [context.Process(target=_hold, args=(theirs, shared, megabytes)) for megabytes in (60, 90)]
    try:
        for child in children:
            child.start()
            ours.recv()
        during = torch_device.peak_memory_mb(cpu).host
        assert during is not None
        assert 150 <= during - before < 190
    finally:
        for _ in children:
            ours.send(None)
        for child in children:
            child.join()
    after = torch_device.peak_memory_mb(cpu).host
    assert after is not None
    assert after - before < 30

"""What timing a user's function costs: the harness's timed window against the same function in a plain loop, by turns.

Run with: pytest tests/benchmarks/test_function_overhead.py --benchmark-enable -n 0 -s
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from by_turns import log_ratios, mean_ratio
from repository import ROOT
from users_code import in_folder, workload

from m2bench.worker.timing import timed_updates

PAIRS = 400
WINDOW_S = 0.05  # of each of a pair: neighbours in time meet the same machine
TEMPLATE = ROOT / "m2bench" / "systems" / "function" / "template.py"
SMALL = """
import torch
def train(*, amp=False, device="cpu", seed=0):
    model = torch.nn.Linear(64, 8).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batch = torch.randn(64, 64, device=device)
    while True:
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield {"samples": 64, "loss": loss}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with in_folder(tmp_path):
        yield tmp_path
    torch.set_num_threads(threads)


@pytest.mark.parametrize("source", [TEMPLATE.read_text(), SMALL], ids=["the trainer that init writes", "a tiny one"])
def test_the_timed_window_against_the_users_own_loop(benchmark: Any, folder: Path, source: str) -> None:
    """Both go on with a trainer of their own, made of the same function with the same seed."""
    found, spec = workload(source)
    system = found.build(spec, folder, (), 0)
    own = found._offered.trainer.train(seed=0)
    first, _ = timed_updates(system, 5)
    updates = max(2, math.ceil(WINDOW_S / first[-1]))

    def in_the_harness() -> float:
        with system.timed_window():
            return sum(timed_updates(system, updates)[0])

    def in_a_plain_loop() -> float:
        begin = time.perf_counter()
        for _ in islice(own, updates):
            pass
        return time.perf_counter() - begin

    pairs = 1 if benchmark.disabled else PAIRS
    ratios = benchmark.pedantic(log_ratios, (in_the_harness, in_a_plain_loop, pairs), rounds=1)
    system.close()
    assert len(ratios) == pairs
    if pairs > 1:
        low, ratio, high = mean_ratio(ratios)
        each_ms = 1e3 * first[-1]
        print(f"\nupdates of {each_ms:.2f} ms: timed window / the user's loop {ratio:.4f} [{low:.4f}, {high:.4f}]")
        benchmark.extra_info["harness over the user's loop"] = (ratio, low, high)

"""What timing costs: the harness's timed window against the same trainer called in a plain loop, taken by turns.

Run with: pytest tests/benchmarks/test_harness_overhead.py --benchmark-enable -n 0 -s
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
from by_turns import log_ratios, mean_ratio

from m2bench.baselines.trainer import Trainer, baseline_parts
from m2bench.optimizations import load_layer
from m2bench.optimizations.layer import compose
from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading
from m2bench.worker.timing import timed_updates

SPEC = WorkloadSpec(device="cpu")
PAIRS = 400
WINDOW_S = 0.05  # of each of a pair, at least two updates: neighbours in time meet the same machine


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    trading.describe(SPEC, folder)
    return folder


def plain_trainer(system: trading.TradingSystem, layers: Layers) -> Trainer:
    """The trainer as somebody without the harness would build it."""
    parts = compose(baseline_parts(), [load_layer(name) for name in layers], trading._asked(SPEC))
    source, settings = system.evaluation.source, trading._settings(SPEC)
    return Trainer(parts, source, settings, 0, system.device)


@pytest.mark.parametrize("layers", [(), ("batching", "vectorized-loss")], ids=["baseline", "batching"])
def test_the_timed_window_against_a_plain_loop(benchmark: Any, work: Path, layers: Layers) -> None:
    system = trading.build(SPEC, work, layers, 0)
    trainer = plain_trainer(system, layers)
    first, _ = timed_updates(system, 3)
    updates = 2 * max(1, math.ceil(WINDOW_S / 2 / first[-1]))  # even: every second one steps the macro part as well

    def in_the_harness() -> float:
        with system.timed_window():
            return sum(timed_updates(system, updates)[0])

    def in_a_plain_loop() -> float:
        begin = time.perf_counter()
        for _ in range(updates):
            trainer.update()
        return time.perf_counter() - begin

    pairs = 1 if benchmark.disabled else PAIRS
    ratios = benchmark.pedantic(log_ratios, (in_the_harness, in_a_plain_loop, pairs), rounds=1)
    assert len(ratios) == pairs
    if pairs > 1:
        low, ratio, high = mean_ratio(ratios)
        print(f"\n{'+'.join(layers) or 'baseline'}: timed window / plain loop {ratio:.4f} [{low:.4f}, {high:.4f}]")
        benchmark.extra_info["harness over plain loop"] = (ratio, low, high)

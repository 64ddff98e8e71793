"""The trading system's work folders, prepared once: the market and the referee's answers, which take seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from m2bench.baselines.episodes import prepare_market
from m2bench.baselines.market import Market
from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading

EPISODE_LENGTH = 8


def prepared_for(policy: str, market: Market, folder: Path) -> Path:
    (folder / "market").mkdir()
    prepare_market(market, folder / "market")
    spec = WorkloadSpec(device="cpu", options={"episode_length": EPISODE_LENGTH, "policy": policy})
    assert trading.prepare(spec, folder) == []
    return folder


@pytest.fixture(scope="session")
def work(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_for("default", market, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def deep_work(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_for("deep", market, tmp_path_factory.mktemp("deep"))


@pytest.fixture
def build(request: pytest.FixtureRequest, work: Path) -> Iterator[Callable[[Layers], trading.TradingSystem]]:
    """Makes systems as the test's module specifies them."""
    built: list[trading.TradingSystem] = []

    def make(layers: Layers) -> trading.TradingSystem:
        torch.compiler.reset()
        built.append(trading.build(request.module.SPEC, work, layers, seed=1))
        return built[-1]

    yield make
    for system in built:
        system.close()
    _leave_autocast()


def _leave_autocast() -> None:
    """A planted fault enters it for good; later tests would learn with converted weights of before an update."""
    for _ in range(torch.autocast_increment_nesting()):
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()
    torch.set_autocast_enabled("cpu", False)

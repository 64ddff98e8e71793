"""The trading system's work folders, prepared once: the market and the referee's answers, which take seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2bench.baselines.episodes import prepare_market
from m2bench.baselines.market import Market
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading

EPISODE_LENGTH = 16


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

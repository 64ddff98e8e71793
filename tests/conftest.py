"""Fixtures shared by the tests: a small market and what is made of it.

Torch and what is tested are imported where they are used: the process that shares the tests out needs neither.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

    from m2bench.baselines.episodes import EpisodeSource, PreparedMarket
    from m2bench.baselines.market import Market
    from m2bench.store.results_database import Store
    from m2bench.store.stored_trial import RunRecord

EPISODE_LENGTH = 16


@cache
def why_no_mps() -> str | None:
    """Why nothing can be computed on an Apple GPU, or None; tried by a process of its own, which MPS may end."""
    import torch

    if not torch.backends.mps.is_available():
        return "torch finds none"
    code = "from m2bench.devices.torch_device import resolve_device; resolve_device('mps')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{done.stderr[-300:]} (exit code {done.returncode})"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a good part of the tests' time they wait for what is timed, or for processes."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let tests that run side by side have one core each; so do the commands that they start, which inherit this.

    In the environment of the workers from their start: OpenBLAS reads it when numpy is imported, and no more after
    that. With a thread for each core in each of them the threads wait for each other: twenty times as long.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage meanwhile, nor ever again among what was imported: it takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    for item in items:
        if item.get_closest_marker("cuda") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU here"))
        if item.get_closest_marker("mps") and why_no_mps():
            item.add_marker(pytest.mark.skip(reason=f"no Apple GPU here: {why_no_mps()}"))
    # Side by side the long ones come first, so that all processes end together; alone, what fails soon does.
    beside = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None) is beside)


@pytest.fixture(scope="session", autouse=True)
def no_store_waits_for_the_disk() -> Iterator[None]:
    """What tests store need not survive a loss of power; the disk would be waited for after every trial."""
    from m2bench.store.results_database import Store

    create = Store.create

    def created(folder: Path, record: RunRecord) -> Store:
        store = create(folder, record)
        store._connection.execute("PRAGMA synchronous = OFF")
        return store

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "create", staticmethod(created))
        yield


@pytest.fixture(scope="session")
def market() -> Market:
    from m2bench.baselines.synthetic import synthetic_market

    return synthetic_market(seed=3, candles=4000)


@pytest.fixture(scope="session")
def prepared(market: Market, tmp_path_factory: pytest.TempPathFactory) -> PreparedMarket:
    from m2bench.baselines.episodes import prepare_market

    return prepare_market(market, tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="session")
def source(prepared: PreparedMarket) -> EpisodeSource:
    from m2bench.baselines.episodes import EpisodeSource

    return EpisodeSource(prepared, EPISODE_LENGTH, seed=5)


@pytest.fixture
def cpu() -> torch.device:
    import torch

    return torch.device("cpu")

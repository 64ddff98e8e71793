"""A device that computes wrongly is found before anything is measured; at sizes of its own, by the gates of a trial."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import EPISODE_LENGTH
from wrong_devices import WrongDevice

from m2bench import workload
from m2bench.baselines.episodes import PreparedMarket, prepare_market
from m2bench.baselines.market import Market
from m2bench.baselines.trainer import Hyperparameters
from m2bench.gates import check_device
from m2bench.referee import Referee, ask_plain, referee_episodes
from m2bench.spec import Layers, WorkloadSpec
from m2bench.workload import TradingSystem

ROWS = 4096
SPEC = WorkloadSpec(device="cpu", num_envs=ROWS // EPISODE_LENGTH, episode_length=EPISODE_LENGTH)
SETTINGS = Hyperparameters(episode_length=EPISODE_LENGTH)
FACTORS = (3.0, 1.1, 1.01)


@pytest.fixture(scope="module")
def work(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's work folder, prepared on this machine as it is."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "market").mkdir()
    prepare_market(market, folder / "market")
    assert workload.prepare(SPEC, folder) == []
    return folder


@pytest.fixture(scope="module")
def faults(work: Path) -> Callable[[AbstractContextManager[object]], list[str]]:
    """What is found wrong with a device, where the plain trainer is asked within this context."""
    market, referee = PreparedMarket(work / "market"), Referee.load(work)
    free, _ = referee_episodes(market, EPISODE_LENGTH)

    def find(device: AbstractContextManager[object]) -> list[str]:
        with device:
            plain = ask_plain(market, SETTINGS, torch.device("cpu"), referee.exact.gradients)
        return check_device(replace(referee, plain=plain), free)

    return find


Find = Callable[[AbstractContextManager[object]], list[str]]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    ("operator", "finding"),
    [
        ("layer norm weight gradient", r"gradient: \S+\.norm\.weight \(and 7 more\) is off by {error} of its size"),
        ("linear", "draws: logits is off by"),
        ("matrix product of the gradient", r"gradient: \S+ \(and \d+ more\) is off by"),
        ("log softmax", r"gradient: \S+ \(and \d+ more\) is off by"),
        ("argmax", "draws: 8 of 8 episodes draw an action that rounding cannot explain"),
        ("adam step", "update: update [12] of (macro|micro) .* is off by {error} of its size, where 0.001 is allowed"),
    ],
)
def test_a_wrong_device_is_found_with_what_it_gets_wrong(
    operator: str, finding: str, factor: float, faults: Find
) -> None:
    """All eight norms, and nothing else, where it is their weights' gradients; by as much as was planted."""
    found = faults(WrongDevice(operator, factor))
    pattern = finding.replace("{error}", re.escape(f"{factor - 1:.2g}"))
    assert any(re.match(pattern, sentence) for sentence in found), found


def test_a_sound_device_is_not_refused(faults: Find) -> None:
    assert faults(nullcontext()) == []


def test_what_is_not_a_number_is_wrong(faults: Find) -> None:
    assert any("is off by nan of its size" in sentence for sentence in faults(WrongDevice("layer norm", float("nan"))))


@pytest.fixture
def build(work: Path) -> Iterator[Callable[[Layers], TradingSystem]]:
    built: list[TradingSystem] = []

    def make(layers: Layers) -> TradingSystem:
        built.append(workload.build(SPEC, work, layers, seed=1))
        return built[-1]

    yield make
    for system in built:
        system.close()


def changed(system: TradingSystem, device: AbstractContextManager[object]) -> set[str]:
    """The gates that find something in a trial on the device."""
    with device:
        verdicts: dict[str, dict[str, Any]] = system.check_numerics()
    return {name for name, verdict in verdicts.items() if not verdict["same"]}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    "operator", ["layer norm weight gradient", "linear", "matrix product of the gradient", "log softmax"]
)
def test_what_is_wrong_at_large_sizes_alone_is_found_in_the_trial_of_that_size(
    operator: str, factor: float, faults: Find, build: Callable[[Layers], TradingSystem]
) -> None:
    """The plain trainer never has so many rows; batching has them in its one pass with gradients."""
    device = WrongDevice(operator, factor, least_rows=ROWS)
    assert faults(device) == []
    system = build(("batching", "vectorized-loss"))
    assert changed(system, nullcontext()) == set()
    assert "gradient" in changed(system, device)


@pytest.mark.parametrize("operator", ["layer norm weight gradient", "matrix product of the gradient"])
def test_half_precision_that_is_three_times_too_large_is_found_in_the_trial(
    operator: str, build: Callable[[Layers], TradingSystem]
) -> None:
    """Single precision is right there, so that the plain trainer knows nothing of it."""
    system = build(("batching", "amp", "vectorized-loss"))
    assert changed(system, nullcontext()) == set()
    assert changed(system, WrongDevice(operator, 3.0, dtype=torch.bfloat16)) == {"gradient"}

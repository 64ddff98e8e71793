"""A checkpoint of ``m2bench train`` is evaluated again, on any market, and nothing but weights is read of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from m2bench.baselines.episodes import EpisodeSource, PreparedMarket, prepare_market
from m2bench.baselines.evaluation import Evaluation
from m2bench.baselines.market import Market
from m2bench.baselines.policy import make_policy
from m2bench.errors import UserError
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading.system import evaluate_checkpoint

CPU = torch.device("cpu")
SPEC = WorkloadSpec(device="cpu", options={"episode_length": 16})


@pytest.fixture
def work(market: Market, tmp_path: Path) -> Path:
    (tmp_path / "market").mkdir()
    prepare_market(market, tmp_path / "market")
    return tmp_path


@pytest.mark.parametrize("with_values", [False, True])
@pytest.mark.parametrize("size", ["default", "deep"])
def test_a_saved_policy_returns_what_it_did(size: str, with_values: bool, work: Path) -> None:
    policy = make_policy(size, 3, CPU, with_values)  # type: ignore[arg-type]
    file = work / "checkpoint.pt"
    torch.save({"layers": (), "policy": size, "state": policy.state_dict()}, file)
    evaluation = Evaluation(EpisodeSource(PreparedMarket(work / "market"), 16, seed=0), CPU)
    assert evaluate_checkpoint(SPEC, work, file) == evaluation.mean_return(policy)


class Harmful:
    """What a checkpoint must not be able to do."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("harmed"),)  # type: ignore[return-value]


def save_code(file: Path) -> None:
    torch.save({"policy": "default", "state": Harmful()}, file)


def save_pickle(file: Path) -> None:
    file.write_bytes(pickle.dumps(Harmful(), protocol=2))


def save_another_network(file: Path) -> None:
    torch.save({"policy": "default", "state": torch.nn.Linear(2, 3).state_dict()}, file)


def save_another_size(file: Path) -> None:
    torch.save({"policy": "deep", "state": make_policy("default", 0, CPU).state_dict()}, file)


def save_text(file: Path) -> None:
    file.write_text("no policy")


@pytest.mark.parametrize("save", [save_code, save_pickle, save_another_network, save_another_size, save_text])
def test_a_file_that_holds_no_policy_is_refused_and_runs_nothing(
    save: Callable[[Path], None], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    save(work / "other.pt")
    with pytest.raises(UserError, match=r"other.pt holds no policy of m2bench train .*Name a checkpoint.pt of it"):
        evaluate_checkpoint(SPEC, work, work / "other.pt")
    assert not (work / "harmed").exists()


def test_a_file_that_is_not_there_is_said(work: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        evaluate_checkpoint(SPEC, work, work / "nowhere.pt")

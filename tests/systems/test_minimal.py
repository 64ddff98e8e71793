"""A system that offers nothing but ``build`` and ``update`` is measured, and nothing is assumed of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import minimal
import pytest
import torch
from commands import typed

from m2bench.errors import UserError
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import CompletedSystem, CompletedWorkload, SystemDefaults, load_system
from m2bench.systems.interface import System, Workload
from m2bench.worker.training import train_to_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minimal") / "run"
    options = ("--workload", "minimal", "--quick", "--device", "cpu", "--threads", "1", "--out", "run")
    done = typed("ablate", *options, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


def test_its_speed_is_measured(run: Path) -> None:
    """Its only layer makes an update four times shorter."""
    summary = json.loads((run / "summary.json").read_text())
    assert [layer["name"] for layer in summary["layers"]] == ["short"]
    rows: dict[tuple[str, ...], Any] = {tuple(c["layers"]): c for c in summary["combinations"]}
    assert {c["status"] for c in rows.values()} == {"ok"}
    assert 2.5 < rows["short",]["speedup"] < 4.5
    assert summary["recommended"]["layers"] == ["short"]


def test_what_it_does_not_offer_is_not_made_up(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    for c in summary["combinations"]:
        assert (c["numerics"], c["gates"], c["eval_return"]) == ("unchecked", None, None)
        assert (c["phase_ms_per_episode"], c["dispatches_per_episode"], c["time_to_target_s"]) == (None, None, None)
    assert summary["layers"][0]["learning"] == "not told"
    assert (summary["layers"][0]["claim"], summary["layers"][0]["verdict"]) == (None, None)


def test_the_report_says_what_it_does_not_offer_and_speaks_of_its_units(run: Path) -> None:
    told = (run / "report.md").read_text()
    assert "numerics: unchecked, since the system does not report what its combinations compute." in told
    assert "learning: not told, since the system does not tell how well it has learned." in told
    assert "short: works outside of torch: nothing that torch does differs; " in told
    assert "units/min" in told
    assert "episode" not in told
    assert "episode" not in (run / "report.html").read_text().replace("episodes_per_min", "")


class Plain:
    def update(self) -> None: ...


def test_every_method_of_a_system_has_a_default() -> None:
    asked = {name for each in System.__mro__ for name in vars(each) if not name.startswith("_")}
    asked |= {*System.__annotations__}
    assert asked - {"update"} == {name for name in dir(SystemDefaults) if not name.startswith("_")}
    for name in ("describe", "prepare", "build", "audit", "forward"):
        assert name in vars(Workload)
        assert callable(getattr(CompletedWorkload(minimal), name))


def test_what_a_system_offers_takes_the_place_of_the_default() -> None:
    class Offering(Plain):
        episodes_per_update = 7

        def waits_s(self) -> dict[str, float]:
            return {"data": 1.0}

    system: System = CompletedSystem(Offering(), torch.device("cpu"))
    assert (system.episodes_per_update, system.steps_per_episode, system.update()) == (7, None, None)
    assert (system.waits_s(), system.proofs()) == ({"data": 1.0}, {})


def test_a_description_that_is_no_record_is_refused() -> None:
    offered = SimpleNamespace(build=minimal.build, describe=lambda spec, work: {"layers": []})
    with pytest.raises(UserError, match="describe of mine returns a dict"):
        CompletedWorkload(offered).describe(WorkloadSpec(module="mine"), Path())


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(UserError, match="json is no system under test"):
        load_system(WorkloadSpec(module="json"))
    spec = WorkloadSpec(module="minimal")
    with pytest.raises(UserError, match="the system minimal does not offer an audit"):
        load_system(spec).audit(spec, Path(), "mps", ())


def test_a_system_of_which_nothing_can_be_saved_is_not_trained_first(tmp_path: Path) -> None:
    curve: list[Any] = []
    workload, spec = CompletedWorkload(minimal), WorkloadSpec(module="minimal", device="cpu")
    with pytest.raises(UserError, match="the system does not offer what could be saved of it"):
        train_to_checkpoint(workload, spec, tmp_path, (), 100, 0, tmp_path / "checkpoint.pt", curve.append)
    assert curve == []

"""What is sent to a machine is what the trainer imports from its folder, and the market that was named."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2bench.errors import UserError
from m2bench.fleet import shipping
from m2bench.fleet.shipping import shipped_for
from m2bench.options.known_systems import DOORS
from m2bench.records.spec import WorkloadSpec

FILES = {
    "my_trainer.py": "import os, helper\nfrom tools import deep\nfrom tools.more import thing\n",
    "helper.py": "import torch\n",
    "unused.py": "",
    "tools/__init__.py": "from . import beside\n",
    "tools/beside.py": "",
    "tools/deep.py": "from ..helper import RATE\nfrom .beside import x\n",
    "tools/more/__init__.py": "from ..other import y\n",
    "tools/other.py": "import helper\n",
    "tools/unused.py": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("trainer", ["my_trainer.py:train", "my_trainer:train"])
def test_a_function_is_sent_with_what_it_imports_from_its_folder(trainer: str, folder: Path, tmp_path: Path) -> None:
    workload = WorkloadSpec(module=DOORS[0], options={"trainer": trainer}, folder=str(folder))
    found = shipped_for(workload)
    assert {name for name, _ in found.code} == {name for name in FILES if "unused" not in name}
    there = found.unpack(workload, tmp_path / "there")
    assert Path(there.folder) != folder
    assert {name: (Path(there.folder) / name).read_text() for name, _ in found.code} == {
        name: text for name, text in FILES.items() if "unused" not in name
    }


def test_nothing_is_sent_of_a_command_or_of_the_trading_system(folder: Path) -> None:
    for workload in (WorkloadSpec(), WorkloadSpec(module=DOORS[1], options={"command": "x"}, folder=str(folder))):
        found = shipped_for(workload)
        assert (found.code, found.data) == ((), None)
        assert found.unpack(workload, folder) == workload


@pytest.mark.parametrize("symbol", ["", "#BTC"])
def test_a_market_of_this_machine_is_sent(symbol: str, tmp_path: Path) -> None:
    (tmp_path / "candles.csv").write_text("a,b\n")
    workload = WorkloadSpec(data=f"{tmp_path}/candles.csv{symbol}")
    there = shipped_for(workload).unpack(workload, tmp_path / "there")
    assert there.data == f"{tmp_path}/there/data/candles.csv{symbol}"
    assert (tmp_path / "there" / "data" / "candles.csv").read_text() == "a,b\n"


def test_a_large_market_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "LARGEST_MB", 1e-6)
    (tmp_path / "candles.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"candles\.csv has 0 MB.*Copy it to the same path"):
        shipped_for(WorkloadSpec(data=f"{tmp_path}/candles.csv"))

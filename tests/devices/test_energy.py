"""Energy counters, from recorded files and fakes of the vendors' libraries."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from m2bench.devices import energy, torch_device


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages, one with a part of its own, as Linux shows them under /sys/class/powercap."""
    for zone, used in (("intel-rapl:0", 5_000_000), ("intel-rapl:0:0", 77), ("intel-rapl:1", 900)):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "energy_uj").write_text(f"{used}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text("10000000\n")
    return tmp_path


def test_packages_are_summed_and_their_parts_not_counted_twice(powercap: Path) -> None:
    read_j = energy.RaplCounter(powercap)
    (powercap / "intel-rapl:0" / "energy_uj").write_text("7500000\n")
    (powercap / "intel-rapl:0:0" / "energy_uj").write_text("999999\n")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("500900\n")
    assert read_j() == pytest.approx(2.5 + 0.5)


def test_a_counter_that_starts_again_goes_on(powercap: Path) -> None:
    read_j = energy.RaplCounter(powercap)
    (powercap / "intel-rapl:0" / "energy_uj").write_text("9000000\n")
    before = read_j()
    (powercap / "intel-rapl:0" / "energy_uj").write_text("1000000\n")
    assert read_j() - before == pytest.approx(2.0)


def test_a_machine_that_does_not_tell_has_no_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        energy.RaplCounter(tmp_path)
    monkeypatch.setattr(torch_device, "RaplCounter", lambda: energy.RaplCounter(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert torch_device.energy_counter(torch.device("cpu")) is None


def test_the_chip_of_a_mac_is_the_sum_of_its_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    used = SimpleNamespace(cpu_total_mj=1500, gpu_mj=2000, gpu_sram_mj=None, dram_mj=500, ane_mj=0)
    monitor = SimpleNamespace(get_cumulative_energy=lambda: used)
    library = SimpleNamespace(AppleEnergyMonitor=lambda: monitor)
    monkeypatch.setitem(sys.modules, "zeus_apple_silicon", library)
    monkeypatch.setattr(sys, "platform", "darwin")
    read_j = torch_device.energy_counter(torch.device("mps"))
    assert read_j is not None
    assert read_j() == pytest.approx(4.0)


def test_a_library_that_finds_no_counter_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("this chip is not known")

    monkeypatch.setitem(sys.modules, "zeus_apple_silicon", SimpleNamespace(AppleEnergyMonitor=refuse))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert torch_device.energy_counter(torch.device("mps")) is None


@pytest.mark.cuda
def test_the_board_of_an_nvidia_gpu_counts_up() -> None:
    read_j = torch_device.energy_counter(torch.device("cuda"))
    if read_j is None:
        pytest.skip("NVML or its counter is not here")
    before = read_j()
    assert read_j() >= before

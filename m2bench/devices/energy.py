"""How much energy the machine has used, where it tells: a counter in joules, read before and after some work.

- CUDA: the board's counter (NVML's total energy consumption), with the extra ``energy``.
- macOS: the chip's CPU, GPU and memory rails, estimates of the system (zeus-apple-silicon), with the extra ``energy``.
- Linux, on the CPU: Intel's and AMD's package counters (RAPL), where the system lets this user read them.

A counter counts for the whole board or chip, so other processes' work is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
RAILS_MJ = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "dram_mj", "ane_mj")

Counter = Callable[[], float]


def nvml_counter(uuid: str) -> Counter:
    """The board with this id, as torch tells it. Raises whatever NVML does where it has no counter."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def apple_counter() -> Counter:
    """All rails of the chip. Raises whatever the library does on a chip that it does not know."""
    from zeus_apple_silicon import AppleEnergyMonitor

    monitor = AppleEnergyMonitor()

    def read_j() -> float:
        used = monitor.get_cumulative_energy()
        return sum(getattr(used, rail, None) or 0.0 for rail in RAILS_MJ) / 1e3

    read_j()
    return read_j


class RaplCounter:
    """Sum of the packages' counters under a powercap folder (Linux, Documentation/power/powercap).

    Each starts again from 0 beyond its range, which is added whenever that is seen.

    Raises OSError when there is none, or it may not be read.
    """

    def __init__(self, folder: Path = POWERCAP):
        # Only whole packages: their parts lie one folder deeper, or have a second number.
        self._packages = [zone for zone in sorted(folder.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        if not self._packages:
            raise FileNotFoundError(folder)
        self._ranges_uj = [_number(zone / "max_energy_range_uj") for zone in self._packages]
        self._last_uj = [_number(zone / "energy_uj") for zone in self._packages]
        self._used_uj = 0

    def __call__(self) -> float:
        now_uj = [_number(zone / "energy_uj") for zone in self._packages]
        for now, last, most in zip(now_uj, self._last_uj, self._ranges_uj, strict=True):
            self._used_uj += now - last + (most if now < last else 0)
        self._last_uj = now_uj
        return self._used_uj / 1e6


def _number(path: Path) -> int:
    return int(path.read_text())

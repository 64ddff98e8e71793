"""The conditions a trial ran under: load of other processes, power and heat. The parent reads them, outside a trial."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import replace

import psutil

from m2bench.records.results import Conditions

from .cpu import busy_from, spent_cpu_s
from .system_tools import answer_of
from .telemetry import busy_cpu_s

THERMAL_LEVELS = ("nominal", "moderate", "heavy", "trapping", "sleeping")


def busy_cores(conditions: Conditions | None) -> float | None:
    """How many cores others kept busy, where that is known, and more than a desktop at rest does."""
    load = None if conditions is None else conditions.other_cores
    return None if conditions is None or load is None or load <= busy_from(conditions.cores) else load


def are_disturbed(conditions: Conditions | None) -> bool:
    """Whether others disturbed what ran under these conditions."""
    return busy_cores(conditions) is not None


class Watch:
    """Started before a trial, asked after it. What this process and its tools use meanwhile is no other load."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._others_s = busy_cpu_s() - spent_cpu_s()

    def conditions(self, own_cpu_s: float | None) -> Conditions:
        """What the machine did besides the trial, whose processes used ``own_cpu_s``; None: they told nothing."""
        elapsed_s = time.monotonic() - self._begin
        others_s = busy_cpu_s() - spent_cpu_s() - self._others_s
        load = None if own_cpu_s is None else max(0.0, others_s - own_cpu_s) / elapsed_s
        return _with_power_and_heat(Conditions(load, cores=psutil.cpu_count() or 1))


def _with_power_and_heat(conditions: Conditions) -> Conditions:
    """With power source, low-power mode and thermal pressure, where the machine tells."""
    if sys.platform == "darwin":
        return replace(
            conditions,
            power=parse_power_source(answer_of("pmset", "-g", "batt")),
            low_power=parse_low_power(answer_of("pmset", "-g")),
            thermal=parse_thermal(answer_of("notifyutil", "-g", "com.apple.system.thermalpressurelevel")),
        )
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    power = None if battery is None else ("mains" if battery.power_plugged else "battery")
    return replace(conditions, power=power)


def parse_power_source(text: str) -> str | None:
    """From ``pmset -g batt``, whose first line names what the machine draws from."""
    found = re.search(r"drawing from '(AC|Battery|UPS) Power'", text)
    return None if found is None else {"AC": "mains", "Battery": "battery", "UPS": "battery"}[found[1]]


def parse_low_power(text: str) -> bool | None:
    """From ``pmset -g``: a line ``lowpowermode 1`` where it is on."""
    found = re.search(r"^\s*(?:lowpowermode|powermode)\s+(\d)", text, flags=re.MULTILINE)
    return None if found is None else found[1] == "1"


def parse_thermal(text: str) -> str | None:
    """From ``notifyutil -g com.apple.system.thermalpressurelevel``: the name and a number from 0."""
    found = re.search(r"thermalpressurelevel\s+(\d+)", text)
    return None if found is None or int(found[1]) >= len(THERMAL_LEVELS) else THERMAL_LEVELS[int(found[1])]

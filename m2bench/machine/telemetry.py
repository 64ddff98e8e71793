"""What the machine is busy with during a trial's timed window, read by the parent, outside the trial.

Every probe reads gauges, which are averaged, and counters of busy seconds, whose growth over the window is a share.
A probe that finds nothing to read, or something new, is "not available" with its reason; the others go on.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from statistics import fmean
from typing import Any

import psutil

from m2bench.records.description import Device
from m2bench.records.documents import read
from m2bench.records.results import TelemetryMeans, WindowMoment

from .system_tools import output_of

INTERVAL_S = 0.5


@dataclass(frozen=True)
class Reading:
    """``busy_s``: seconds since some fixed moment, as a share of all cores or of the device.

    ``missing``: the figures that could not be read, and why.
    """

    gauges: dict[str, float] = field(default_factory=dict)
    busy_s: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


Probe = Callable[[int], Reading]
"""Reads what concerns the worker with this process id. May raise anything where the machine does not tell."""


def host_probe(pid: int) -> Reading:
    """The trial's own part of all cores, memory in use and, where there is a sensor, the highest temperature."""
    used = psutil.virtual_memory()
    gauges = {"memory_used_mb": (used.total - used.available) / 1e6}
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    temperatures = [sensor.current for group in sensors.values() for sensor in group]
    if temperatures:
        gauges["temperature_c"] = max(temperatures)
    return Reading(gauges, {"own_cpu_share": used_cpu_s(pid) / (psutil.cpu_count() or 1)})


def used_cpu_s(pid: int) -> float:
    """Seconds of all cores that a process and those below it have used; psutil.NoSuchProcess when it has gone.

    Those below it are the ones that it had when it was first asked for: to look for them costs ms of CPU on a machine
    that runs many processes, and a trial has started its own before its timed window.
    """
    process, *others = _tree(pid)
    used_s = _used_s(process)
    for other in others:
        with suppress(psutil.NoSuchProcess):  # whoever has waited for it has its seconds
            used_s += _used_s(other)
    return used_s


@lru_cache(maxsize=1)
def _tree(pid: int) -> tuple[psutil.Process, ...]:
    process = psutil.Process(pid)
    return process, *process.children(recursive=True)


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def busy_cpu_s() -> float:
    """Seconds that all cores together have been busy since the machine started."""
    # Linux counts a guest's time in its user's as well.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(seconds for name, seconds in psutil.cpu_times()._asdict().items() if name not in idle))


def nvml_probe(uuid: str) -> Probe:
    """The board with this id, as torch tells it: everything that NVML has."""

    @cache
    def board() -> tuple[Any, Any]:
        import pynvml

        pynvml.nvmlInit()
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")

    def read(pid: int) -> Reading:
        nvml, handle = board()
        figures: dict[str, Callable[[], float]] = {
            "device_share": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            "device_memory_used_mb": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6,
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
            "device_temperature_c": lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        }
        read_out = {name: _attempt(figure) for name, figure in figures.items()}
        gauges = {name: value for name, value in read_out.items() if isinstance(value, float)}
        missing = {name: why for name, why in read_out.items() if isinstance(why, str)}
        return Reading(gauges, {}, missing)

    return read


def apple_probe(pid: int) -> Reading:
    """The GPU as macOS tells it without root: what this process used of it, and how busy it is with everybody."""
    everybody = parse_accelerators(output_of("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"))
    clients = parse_gpu_clients(output_of("ioreg", "-r", "-l", "-w", "0", "-c", "AGXDeviceUserClient"))
    if pid not in clients:
        why = f"ioreg lists no GPU time of the trial's process ({len(clients)} others)"
        return Reading(everybody, {}, {"device_share": why})
    return Reading(everybody, {"device_share": clients[pid]})


def _attempt(figure: Callable[[], float]) -> float | str:
    """The figure, or why it cannot be read: boards lack one thing or another."""
    try:
        return figure()
    except Exception as error:  # noqa: BLE001 (a vendor's library has errors of its own)
        return _reason(error)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def parse_accelerators(text: str) -> dict[str, float]:
    """From ``ioreg -r -d 1 -w 0 -c IOAccelerator``: the busiest accelerator's share, and memory in use, in MB.

    Raises ValueError when the text has no such figures.
    """
    shares = [int(number) for number in re.findall(r'"Device Utilization %"=(\d+)', text)]
    used = [int(number) for number in re.findall(r'"In use system memory"=(\d+)', text)]
    if not shares:
        raise ValueError("ioreg prints no device utilization")
    found = {"device_share_of_everybody": max(shares) / 100}
    return found | ({"device_memory_used_mb": max(used) / 1e6} if used else {})


def parse_gpu_clients(text: str) -> dict[int, float]:
    """From ``ioreg -r -l -w 0 -c AGXDeviceUserClient``: seconds of GPU time of each process, all its clients summed.

    A client is one node: its creator stands in ``IOUserClientCreator``, its times, in ns, in ``AppUsage``.
    """
    busy_s: dict[int, float] = defaultdict(float)
    for node in re.split(r"^[\s|]*\+-o ", text, flags=re.MULTILINE):
        creator = re.search(r'"IOUserClientCreator" = "pid (\d+),', node)
        if creator:
            busy_s[int(creator[1])] += sum(int(ns) for ns in re.findall(r'"accumulatedGPUTime"=(\d+)', node)) / 1e9
    return dict(busy_s)


def probes_for(device: Device) -> dict[str, Probe]:
    """What can be read on a machine whose worker described its device so (device_description.py)."""
    probes: dict[str, Probe] = {"host": host_probe}
    if device.telemetry == "nvml":
        assert device.uuid is not None
        probes["device"] = nvml_probe(device.uuid)
    elif device.telemetry == "ioreg":
        probes["device"] = apple_probe
    return probes


class Telemetry:
    """Samples the probes from when the worker says that its timed window begins until it says that it ends."""

    def __init__(self, probes: dict[str, Probe]):
        self._probes = probes
        self._readings: dict[str, list[tuple[float, Reading]]] = {name: [] for name in probes}
        self._unavailable: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, moment: WindowMoment) -> None:
        if moment.window == "begin":
            self._thread = threading.Thread(target=self._sample, args=(moment.pid,), daemon=True)
            self._thread.start()
        else:
            self._ended.set()

    def _sample(self, pid: int) -> None:
        last = False
        while True:
            for name in self._probes:
                self._read(name, pid)
            if last:
                return
            last = self._ended.wait(INTERVAL_S)

    def _read(self, name: str, pid: int) -> None:
        try:
            self._readings[name].append((time.monotonic(), self._probes[name](pid)))
        except Exception as error:  # noqa: BLE001 (whatever a vendor's tool does, the trial goes on)
            self._unavailable[name] = _reason(error)

    def summary(self) -> TelemetryMeans:
        """Means of the gauges and shares of the counters over the window; and what could not be read, with why."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        found: dict[str, float] = {}
        for readings in self._readings.values():
            found |= _summarize(readings)
        # What failed now and then was read at other times.
        unavailable = {name: why for name, why in self._unavailable.items() if not self._readings[name]}
        for _, reading in (entry for readings in self._readings.values() for entry in readings):
            unavailable |= {name: why for name, why in reading.missing.items() if name not in found}
        return read(TelemetryMeans, {**found, "not_available": unavailable})


def _summarize(readings: list[tuple[float, Reading]]) -> dict[str, float]:
    if not readings:
        return {}
    gauges: dict[str, list[float]] = defaultdict(list)
    for _, reading in readings:
        for name, value in reading.gauges.items():
            gauges[name].append(value)  # a sensor may come and go
    found = {name: fmean(values) for name, values in gauges.items()}
    (begin, first), (end, last) = readings[0], readings[-1]
    if end > begin:
        both = first.busy_s.keys() & last.busy_s.keys()
        found |= {name: (last.busy_s[name] - first.busy_s[name]) / (end - begin) for name in sorted(both)}
    return found

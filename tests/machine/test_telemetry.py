"""Telemetry from recorded texts and from probes whose figures are known."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

import psutil
import pytest

from m2bench.machine.telemetry import (
    Reading,
    Telemetry,
    host_probe,
    parse_accelerators,
    parse_gpu_clients,
    probes_for,
    used_cpu_s,
)
from m2bench.records.description import Device
from m2bench.records.documents import read
from m2bench.records.results import TelemetryMeans, WindowMoment

ACCELERATORS = """
+-o AGXAcceleratorG14G  <class AGXAcceleratorG14G, id 0x100000345, registered, matched, active, busy 0, retain 110>
    {
      "model" = "Apple M2"
      "gpu-core-count" = 8
      "PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=2236186624,"Tiler Utilization %"=3,"recoveryCount"=0,"Renderer Utilization %"=14,"Device Utilization %"=16,"In use system memory"=493862912}
    }
+-o Other  <class Other>
    {
      "PerformanceStatistics" = {"Device Utilization %"=2,"In use system memory"=1000}
    }
"""  # noqa: E501 (as the system prints it)
CLIENTS = """
+-o AGXDeviceUserClient  <class AGXDeviceUserClient, id 0x1000003a2, !registered, !matched, active, busy 0, retain 7>
    {
      "IOUserClientCreator" = "pid 143, WindowServer"
      "AppUsage" = ({"API"="Metal","lastSubmittedTime"=991,"accumulatedGPUTime"=5000000000})
    }
  | +-o AGXDeviceUserClient  <class AGXDeviceUserClient, id 0x1000003a3, !registered, !matched, active, busy 0>
  |   {
  |     "AppUsage" = ({"API"="Metal","accumulatedGPUTime"=1000000000},{"API"="Metal","accumulatedGPUTime"=500000000})
  |     "IOUserClientCreator" = "pid 1430, python3.11"
  |   }
+-o AGXDeviceUserClient  <class AGXDeviceUserClient, id 0x1000003a4, !registered, !matched, active, busy 0>
    {
      "IOUserClientCreator" = "pid 1430, python3.11"
      "AppUsage" = ({"API"="Metal","accumulatedGPUTime"=250000000})
    }
"""


def test_the_busiest_accelerator_counts() -> None:
    found = parse_accelerators(ACCELERATORS)
    assert found == {"device_share_of_everybody": 0.16, "device_memory_used_mb": pytest.approx(493.862912)}


def test_gpu_time_is_summed_over_the_clients_of_a_process() -> None:
    assert parse_gpu_clients(CLIENTS) == pytest.approx({143: 5.0, 1430: 1.75})


@pytest.mark.parametrize("text", ["", "something new", '"PerformanceStatistics" = {}'])
def test_a_text_without_figures_is_refused(text: str) -> None:
    assert parse_gpu_clients(text) == {}
    with pytest.raises(ValueError, match="no device utilization"):
        parse_accelerators(text)


def sampled(telemetry: Telemetry, seconds: float = 0.0) -> TelemetryMeans:
    telemetry.follow(WindowMoment("begin", 7))
    time.sleep(seconds)
    telemetry.follow(WindowMoment("end", 7))
    return telemetry.summary()


def test_gauges_are_averaged_over_the_window_and_counters_become_shares() -> None:
    readings = count(1)

    def probe(pid: int) -> Reading:
        assert pid == 7
        return Reading({"power_w": float(next(readings))}, {"own_cpu_share": 0.25 * time.monotonic()})

    found = sampled(Telemetry({"known": probe}), 0.05)
    assert found.power_w == 1.5  # one reading at each end
    assert found.own_cpu_share == pytest.approx(0.25, rel=0.05)
    assert found.not_available == {}


def test_a_sensor_that_comes_and_goes_is_averaged_while_it_is_there() -> None:
    readings = iter(
        [Reading({"power_w": 1.0, "temperature_c": 5.0}, {"own_cpu_share": 0.0}), Reading({"power_w": 3.0})]
    )
    found = sampled(Telemetry({"known": lambda pid: next(readings)}))
    assert found == TelemetryMeans(power_w=2.0, temperature_c=5.0)


def test_a_probe_that_fails_says_why_and_the_others_go_on() -> None:
    def broken(pid: int) -> Reading:
        raise FileNotFoundError("ioreg")

    found = sampled(Telemetry({"broken": broken, "good": lambda pid: Reading({"power_w": 3.0})}))
    assert found == TelemetryMeans(power_w=3.0, not_available={"broken": "FileNotFoundError: ioreg"})


def test_one_figure_that_cannot_be_read_takes_no_other_with_it() -> None:
    partly = Reading({"device_share": 0.5}, {}, {"power_w": "NVMLError: Not Supported"})
    found = sampled(Telemetry({"board": lambda pid: partly}))
    assert found == TelemetryMeans(device_share=0.5, not_available={"power_w": "NVMLError: Not Supported"})


def test_a_probe_that_failed_once_is_asked_again() -> None:
    readings: Iterator[Exception | Reading] = iter([TimeoutError("slow"), Reading({"power_w": 3.0})])

    def probe(pid: int) -> Reading:
        reading = next(readings)
        if isinstance(reading, Exception):
            raise reading
        return reading

    assert sampled(Telemetry({"now and then": probe})) == TelemetryMeans(power_w=3.0)


def test_a_trial_that_never_reached_its_window_has_no_figures() -> None:
    assert Telemetry({"good": lambda pid: Reading({"power_w": 3.0})}).summary() == TelemetryMeans()


BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_the_host_is_read_here() -> None:
    """Of a process without children, whose times not every system tells: what it has used, by its own clock."""
    code = BURN.replace("print(", "print(time.process_time(), ")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        used_s = float(process.stdout.readline())
        reading = host_probe(process.pid)
        process.communicate(b"\n")
    assert reading.busy_s["own_cpu_share"] * (psutil.cpu_count() or 0) == pytest.approx(used_s, rel=0.05, abs=0.05)
    assert 0 < reading.gauges["memory_used_mb"] < psutil.virtual_memory().total / 1e6


def test_only_the_trials_own_processes_count() -> None:
    """One that only waits, and one that waits for a child which computes for 0.3 s."""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"

    def start(code: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with (
        start("print(flush=True); input()") as idle,
        start(parent) as busy,
    ):
        for process in (idle, busy):
            assert process.stdout is not None
            process.stdout.readline()
        assert used_cpu_s(busy.pid) >= 0.3
        assert used_cpu_s(idle.pid) < 0.2
        for process in (idle, busy):
            process.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        used_cpu_s(idle.pid)


def device(**facts: str) -> Device:
    return read(Device, {"device": "any", "torch": "2", "torch_threads": 1, **facts})


def test_only_the_device_that_is_trained_on_is_asked() -> None:
    assert list(probes_for(device())) == ["host"]
    assert list(probes_for(device(device_telemetry="ioreg"))) == ["host", "device"]
    assert list(probes_for(device(device_telemetry="nvml", device_uuid="x"))) == ["host", "device"]


def test_without_the_vendors_library_the_board_is_not_available() -> None:
    found = sampled(Telemetry({"device": probes_for(device(device_telemetry="nvml", device_uuid="x"))["device"]}))
    assert list(found.not_available) == ["device"]

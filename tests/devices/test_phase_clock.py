"""A phase clock whose own clock moves only when told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from m2bench.baselines.phases import PHASES, phase, phases_watched
from m2bench.devices import phase_clock
from m2bench.devices.phase_clock import OTHER, PhaseClock


class Device:
    """Work takes its time when it is waited for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pending = 0.0

    def synchronize(self) -> None:
        self.now += self.pending
        self.pending = 0.0


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(phase_clock, "time", SimpleNamespace(perf_counter=lambda: device.now))
    return device


def test_every_moment_belongs_to_the_innermost_phase(device: Device) -> None:
    watch = PhaseClock(device.synchronize)
    device.pending = 100.0  # from before: nobody's
    watch.start()
    device.pending = 1.0
    with watch.phase("outer"):
        device.pending = 2.0
        with watch.phase("inner"):
            device.pending = 4.0
        device.pending = 8.0
    device.pending = 16.0
    with watch.phase("inner"):
        device.pending = 32.0
    watch.stop()
    assert watch.seconds() == {"outer": 10.0, "inner": 36.0, OTHER: 17.0}
    assert list(watch.seconds())[-1] == OTHER
    ends = [end for _, _, end in watch.cuts]
    assert [begin for _, begin, _ in watch.cuts][1:] == ends[:-1]


def test_the_time_that_cutting_takes_is_left_out(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading this clock takes 10 ms: 1000 short phases would seem to take 10 s more, and what is around them too."""

    def slow_clock() -> float:
        device.now += 0.01
        return device.now

    monkeypatch.setattr(phase_clock, "time", SimpleNamespace(perf_counter=slow_clock))
    watch = PhaseClock(device.synchronize)
    watch.start()
    for _ in range(1000):
        device.pending = 0.002
        with watch.phase("step"):
            device.pending = 0.003
    watch.stop()
    assert watch.seconds() == pytest.approx({"step": 3.0, OTHER: 2.01})


def test_a_phase_that_fails_is_closed(device: Device) -> None:
    watch = PhaseClock(device.synchronize)
    watch.start()

    def fail() -> None:
        with watch.phase("loss"):
            device.pending = 3.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    device.pending = 1.0
    watch.stop()
    assert watch.seconds() == {"loss": 3.0, OTHER: 1.0}


def test_nobody_is_told_of_phases_unless_they_ask() -> None:
    seen = []

    def watch(name: str) -> PhaseClock:
        seen.append(name)
        return PhaseClock(lambda: None).phase(name)

    with phase("loss"), phases_watched(watch), phase("feed"):
        pass
    with phase("clip"):
        pass
    assert seen == ["feed"]
    assert set(seen) <= set(PHASES)

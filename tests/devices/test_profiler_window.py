"""What torch.profiler saw of a system whose operators are known."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity

from m2bench.devices import profiler_window
from m2bench.devices.profiler_window import Window, is_device_work, peaks_mb
from m2bench.devices.torch_device import torch_version
from m2bench.systems.interface import System

MEGABYTE = 250_000  # float32


class KnownSystem:
    """Per episode: 3 additions, of which a quarter counts for each of 4 episodes; and one product for 2 episodes."""

    waits = 0

    def synchronize(self) -> None:
        self.waits += 1

    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]:
        self.phase = watch
        return nullcontext()

    def pieces(self) -> Iterator[tuple[Callable[[], object], int | None]]:
        yield self.add, 4
        yield self.unmeasured, None
        yield self.multiply, 2

    def add(self) -> None:
        x = torch.ones(3)
        with self.phase("loss"):
            kept = torch.ones(2 * MEGABYTE)  # 2 MB, held until the end of the piece
            for _ in range(3):
                torch.add(x, x)
            with self.phase("clip"):
                torch.ones(MEGABYTE)  # 1 MB more for a moment
        assert len(kept)

    def unmeasured(self) -> None:
        torch.exp(torch.ones(3))

    def multiply(self) -> None:
        x = torch.ones(2, 2)
        with self.phase("backward"):
            torch.mm(x, x)
            time.sleep(0.02)


@pytest.fixture(scope="module")
def window() -> Window:
    return Window(cast(System, cast(Any, KnownSystem())), [ProfilerActivity.CPU])


def test_calls_are_per_episode_and_unmeasured_pieces_are_left_out(window: Window) -> None:
    found = window.operators()
    assert found["aten::add"][0] == 3 / 4
    assert found["aten::mm"][0] == 1 / 2
    assert "aten::exp" not in found
    assert not any(name.startswith(("phase.", "piece")) for name in found)


def test_own_times_lie_within_the_watched_time(window: Window) -> None:
    assert 0 < sum(milliseconds for _, milliseconds in window.operators().values()) < window.wall_ms
    assert window.wall_ms > 20 / 2  # a sleep of 20 ms for 2 episodes


def test_memory_is_the_most_that_each_phase_saw(window: Window) -> None:
    found = window.peak_memory_mb()
    assert set(found) == {"loss", "clip", "backward"}
    assert found["loss"] == pytest.approx(2.0, rel=0.01)
    assert found["clip"] == pytest.approx(3.0, rel=0.01)
    assert found["backward"] < 0.1


def test_a_phase_that_allocates_nothing_still_has_what_lives_in_it() -> None:
    phases = [("feed", 0, 10), ("environment", 20, 30), ("forward", 40, 90), ("draw", 50, 60)]
    changes = [(5, 4_000_000), (45, 1_000_000), (55, 2_000_000), (58, -2_000_000), (70, -4_000_000)]
    assert peaks_mb(phases, changes) == {"feed": 4.0, "environment": 4.0, "forward": 5.0, "draw": 7.0}


def test_memory_that_the_profiler_misses_is_sampled_at_the_ends_of_phases() -> None:
    """Read at the start, and after clip, loss (within which clip is) and backward."""
    readings = iter([10.0, 13.0, 12.0, 9.0])
    sampled = Window(cast(System, cast(Any, KnownSystem())), [ProfilerActivity.CPU], lambda: next(readings))
    assert sampled.memory_is_sampled
    assert sampled.peak_memory_mb() == {"clip": 3.0, "loss": 2.0, "backward": 0.0}


def test_on_the_cpu_there_are_no_kernels(window: Window) -> None:
    assert window.kernels() == {}
    assert window.busy_and_gap_ms() == (0, 0)


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_lost(window: Window, tmp_path: Path) -> None:
    found = window.write(tmp_path / "nowhere" / "before")
    assert set(found) == {"trace", "flame_graph"}
    assert all(file.lost_because for file in found.values())
    written = Window(cast(System, cast(Any, KnownSystem())), [ProfilerActivity.CPU]).write(tmp_path / "before")
    assert all(file.lost_because is None and Path(file.path).stat().st_size for file in written.values())


class MadeUpEvent:
    """In the shape of torch's _KinetoEvent, with the names and types that a GPU's timeline has."""

    def __init__(self, name: str, kind: str, device: DeviceType):
        self.kind, self.device = kind, device
        self.name = lambda: name

    def device_type(self) -> DeviceType:
        return self.device

    def is_user_annotation(self) -> bool:
        return self.kind in ("user_annotation", "gpu_user_annotation")

    def activity_type(self) -> str:
        return self.kind


MADE_UP = [
    MadeUpEvent(name, kind, DeviceType.CUDA if is_there else DeviceType.CPU)
    for name, kind, is_there in (
        ("aten::mm", "cpu_op", False),
        ("cudaLaunchKernel", "cuda_runtime", False),
        ("phase.backward", "user_annotation", False),
        ("phase.backward", "gpu_user_annotation", True),
        ("Optimizer.step#Adam.step", "gpu_user_annotation", True),
        ("sgemm_128x64", "kernel", True),
        ("Memcpy HtoD (Pinned -> Device)", "gpu_memcpy", True),
        ("Memset (Device)", "gpu_memset", True),
    )
]
WORK = ["sgemm_128x64", "Memcpy HtoD (Pinned -> Device)", "Memset (Device)"]


def test_only_what_runs_on_the_device_counts_as_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = MadeUpEvent("Stream Synchronize", "cuda_sync", DeviceType.CUDA)
    monkeypatch.setattr(profiler_window, "torch_version", lambda: (2, 13))
    assert [event.name() for event in (*MADE_UP, waits) if is_device_work(event)] == WORK
    monkeypatch.setattr(profiler_window, "torch_version", lambda: (2, 11))
    monkeypatch.delattr(MadeUpEvent, "activity_type")
    assert [event.name() for event in MADE_UP if is_device_work(event)] == WORK


@pytest.mark.skipif(torch_version() < profiler_window.TELLS_TYPES, reason="told from torch 2.13 on")
def test_torch_tells_the_types_of_events_by_these_names(window: Window) -> None:
    raw = window.profiler.profiler.kineto_results.events()
    assert {e.activity_type() for e in raw if e.name() == "aten::mm"} == {"cpu_op"}
    assert {e.activity_type() for e in raw if e.name().startswith("phase.")} == {"user_annotation"}
    assert all(e.is_user_annotation() for e in raw if e.name().startswith("phase."))


def test_a_device_that_the_profiler_sees_is_waited_for_at_the_ends_of_pieces_alone() -> None:
    """A wait within a piece would be a gap between its kernels. There are 3 pieces, with 3 phases."""
    seen, unseen = KnownSystem(), KnownSystem()
    Window(cast(System, cast(Any, unseen)), [ProfilerActivity.CPU])
    assert unseen.waits == 3 + 3
    if not torch.cuda.is_available():
        with pytest.warns(UserWarning, match="CUDA is not available"):
            Window(cast(System, cast(Any, seen)), [ProfilerActivity.CPU, ProfilerActivity.CUDA])
    else:
        Window(cast(System, cast(Any, seen)), [ProfilerActivity.CPU, ProfilerActivity.CUDA])
    assert seen.waits == 3


@pytest.mark.parametrize("left", [b"", b'{"traceEvents": ['])
def test_half_a_trace_is_not_called_written(left: bytes, tmp_path: Path) -> None:
    """What libkineto leaves when it runs out of room on its way."""
    window = Window.__new__(Window)
    leaves = SimpleNamespace(export_chrome_trace=lambda path: Path(path).write_bytes(gzip.compress(left)))
    window.profiler = leaves
    window.calls = []
    trace = window.write(tmp_path / "before")["trace"]
    assert str(trace).startswith("not written: torch.profiler wrote no whole trace")
    assert not (tmp_path / "before.trace.json.gz").exists()

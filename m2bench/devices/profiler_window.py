"""One pass of training under torch.profiler: operators, device kernels, memory, and files to open."""

from __future__ import annotations

import gzip
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from m2bench.records.inspected import Written
from m2bench.store.files import try_to_write

from .event_tree import Event, busy_and_gaps_ns, calls
from .speedscope import write_speedscope
from .torch_device import torch_version
from .training_pieces import InPieces, Units

PIECE = "piece"
PHASE = "phase."
MEMORY = "[memory]"
DEVICE_WORK = {"kernel", "gpu_memcpy", "gpu_memset"}  # of libkineto's types of events (ActivityType.h)
TELLS_TYPES = (2, 13)  # torch


class Window:
    """What torch.profiler saw of one pass over a system's pieces."""

    def __init__(
        self, system: InPieces, activities: list[ProfilerActivity], allocated_mb: Callable[[], float] | None = None
    ):
        """``allocated_mb`` is asked at the end of every phase, on a device whose allocations torch.profiler misses.

        A phase waits for a device that torch.profiler does not see, so that it owns the work it submitted. One that
        torch.profiler sees is left to run: each wait would be a gap between its kernels.
        """
        sees_device = ProfilerActivity.CUDA in activities
        self.memory_is_sampled = allocated_mb is not None
        self._sampled_mb: dict[str, float] = {}
        self._allocated_mb = allocated_mb or (lambda: 0.0)
        self._start_mb = self._allocated_mb()
        self._episodes: list[Units | None] = []
        self.wall_ms = 0.0
        """Milliseconds per episode while being watched."""
        with (
            profile(activities=activities, profile_memory=True) as self.profiler,
            system.watch_phases(self._ranges(None if sees_device else system.synchronize)),
        ):
            for piece, episodes in system.pieces():
                self._episodes.append(episodes)
                with record_function(PIECE):
                    begin = time.perf_counter()
                    piece()
                    system.synchronize()
                if episodes is not None:
                    self.wall_ms += 1e3 * (time.perf_counter() - begin) / episodes
        raw = self.profiler.profiler.kineto_results.events()
        here = DeviceType.CUDA if sees_device else DeviceType.CPU
        self._memory = sorted((e.start_ns(), e.nbytes()) for e in raw if e.name() == MEMORY and e.device_type() == here)
        timed = [e for e in raw if e.name() != MEMORY]
        self.calls = calls(_event(e) for e in timed if e.device_type() == DeviceType.CPU)
        self._kernels = [_event(e) for e in timed if is_device_work(e)]
        self._pieces = [call.event for call in self.calls if call.event.name == PIECE]
        self._phases = [call.event for call in self.calls if call.event.name.startswith(PHASE)]

    def operators(self) -> dict[str, tuple[float, float]]:
        """Calls and own milliseconds per episode of everything that ran on the host, the piece itself left out."""
        ours = (PIECE, PHASE)
        return self._tally((c.event, c.self_ns) for c in self.calls if not c.event.name.startswith(ours))

    def kernels(self) -> dict[str, tuple[float, float]]:
        """Runs and milliseconds per episode of every kernel and copy on the device; empty where none is recorded."""
        return self._tally((event, event.end_ns - event.start_ns) for event in self._kernels)

    def busy_and_gap_ms(self) -> tuple[float, float]:
        """Milliseconds per episode in which the device worked, and in which it waited for the next launch."""
        busy = gap = 0.0
        for piece, episodes in zip(self._pieces, self._episodes, strict=True):
            if episodes is not None:
                inside = [event for event in self._kernels if piece.start_ns <= event.start_ns < piece.end_ns]
                busy_ns, gap_ns = busy_and_gaps_ns(inside)
                busy, gap = busy + busy_ns / 1e6 / episodes, gap + gap_ns / 1e6 / episodes
        return busy, gap

    def peak_memory_mb(self) -> dict[str, float]:
        """The most that was allocated in each phase beyond what was at the start of the pass, in MB."""
        if self.memory_is_sampled:
            return self._sampled_mb
        return peaks_mb([(event.name.removeprefix(PHASE), event.start_ns, event.end_ns) for event in self._phases],
                        self._memory)  # fmt: skip

    def write(self, path: Path) -> dict[str, Written]:
        """Write the trace and the flame graph."""
        trace, flame = path.with_suffix(".trace.json.gz"), path.with_suffix(".speedscope.json")
        return {
            "trace": try_to_write(trace, lambda: self._export(trace)),
            "flame_graph": try_to_write(flame, lambda: write_speedscope(flame, path.name, self.calls)),
        }

    def _export(self, path: Path) -> None:
        """Raises OSError for half a file: libkineto writes it on its way, and does not say when it runs out of room."""
        self.profiler.export_chrome_trace(str(path))
        end = b""
        with gzip.open(path) as trace:
            while chunk := trace.read(1 << 20):
                end = chunk.rstrip() or end
        if not end.endswith(b"}"):
            raise OSError("torch.profiler wrote no whole trace; is there room in the folder for temporary files?")

    def _ranges(self, synchronize: Callable[[], None] | None) -> Callable[[str], AbstractContextManager[None]]:
        @contextmanager
        def watch(name: str) -> Iterator[None]:
            with record_function(PHASE + name):
                yield
                if synchronize is not None:
                    synchronize()
            grown_mb = self._allocated_mb() - self._start_mb
            self._sampled_mb[name] = max(grown_mb, self._sampled_mb.get(name, 0.0))

        return watch

    def _tally(self, spent: Iterator[tuple[Event, int]]) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        starts = [piece.start_ns for piece in self._pieces]
        for event, nanoseconds in spent:
            index = bisect_right(starts, event.start_ns) - 1
            episodes = self._episodes[index] if index >= 0 else None
            if episodes is not None and event.start_ns < self._pieces[index].end_ns:
                count, milliseconds = found[event.name]
                found[event.name] = count + float(1 / episodes), milliseconds + nanoseconds / 1e6 / episodes
        return dict(found)


def peaks_mb(phases: list[tuple[str, int, int]], changes: list[tuple[int, int]]) -> dict[str, float]:
    """The most that was allocated in each phase, whether or not it allocated anything itself.

    ``phases``: name, start and end of each time it was entered, by their starts; a phase within another counts for
    itself. ``changes``: when how many bytes were taken, or given back, by their times.
    """
    peaks = {name: 0.0 for name, _, _ in phases}
    entered: list[str] = []
    moments: list[tuple[int, int, Any]] = [(start, 1, name) for name, start, _ in phases]
    moments += [(end, 0, name) for name, _, end in phases]
    moments += [(at, 2, size) for at, size in changes]
    moments.sort(key=lambda moment: moment[:2])
    allocated = 0
    for _, kind, what in moments:
        if kind == 2:
            allocated += what
        elif kind == 1:
            entered.append(what)
        else:
            entered.remove(what)
        if entered:
            peaks[entered[-1]] = max(peaks[entered[-1]], allocated / 1e6)
    return peaks


def _event(raw: Any) -> Event:
    return Event(raw.name(), raw.start_ns(), raw.start_ns() + raw.duration_ns(), raw.start_thread_id())


def is_device_work(raw: Any) -> bool:
    """Whether an event of the profiler is a kernel or a copy that ran on a device.

    Ranges of the host, torch's own (``Optimizer.step``) as well as ours, are mirrored among the device's events and are
    none; nor are its synchronizations. Before 2.13 torch tells annotations from the rest, but not the type.
    """
    if raw.device_type() == DeviceType.CPU or raw.is_user_annotation():
        return False
    return torch_version() < TELLS_TYPES or raw.activity_type() in DEVICE_WORK

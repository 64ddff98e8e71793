"""A trial's figures from a system whose clock is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from m2bench.devices import device_speed, phase_clock
from m2bench.records.results import Counts, NumericsCheck, PeakMemory, Proof, TrialResult
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.systems.interface import Told
from m2bench.worker import timing, trial


class Clock:
    """A clock that moves only when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class KnownSystem:
    """Updates of 3 episodes that take 2 s; the first takes 7 s more, as if it compiled."""

    episodes_per_update = 3
    steps_per_episode = 10
    compiles = True
    offers_proofs = True
    processes = 1
    first_update_sets_up = False
    reading_s = 0.0

    def __init__(self, clock: Clock):
        self.clock = clock
        self.log: list[str] = []
        self.window_open = False

    def update(self) -> torch.Tensor:
        first = "update" not in self.log
        self.log.append("update")
        self.pending = 9.0 if first else self.update_s()
        return torch.tensor(float(len(self.log)))

    def update_s(self) -> float:
        return 2.0

    def told(self, found: torch.Tensor) -> Told:
        self.pending = self.reading_s
        return Told(mean_return=found)

    def check_finite(self) -> None:
        self.clock.now += 0.25  # a check takes time that belongs to no update

    def check_numerics(self) -> dict[str, NumericsCheck]:
        self.log.append("numerics")
        self.clock.now += 3.0
        return {"gradient": NumericsCheck(True)}

    def check_stream(self) -> dict[str, NumericsCheck]:
        self.log.append("stream")
        self.clock.now += 1.0
        return {"stream": NumericsCheck(False)}

    def energy_j(self) -> float | None:
        return 50 * self.clock.now  # 50 W

    def synchronize(self) -> None:
        # An asynchronous device: time passes only when the work is waited for.
        self.clock.now += getattr(self, "pending", 0.0)
        self.pending = 0.0

    def timed_window(self) -> AbstractContextManager[object]:
        self.log.append("window")
        return nullcontext()

    def waits_s(self) -> dict[str, float]:
        return {"feed": 0.012}

    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]:
        self.phase = watch
        return nullcontext()

    def pieces(self) -> Iterator[tuple[Callable[[], object], int | None]]:
        """The loss takes 3 s within a step of 4 s, before which 1 s belongs to no phase; all for 4 episodes."""

        def step() -> None:
            self.log.append("pieces")
            self.pending = 1.0
            with self.phase("step"):
                self.pending = 1.0
                with self.phase("loss"):
                    self.pending = 3.0

        yield step, 4
        yield lambda: self.log.append("unmeasured"), None

    def count(self) -> Counts:
        self.log.append("count")
        return Counts({"dispatches": 7.0}, {})

    def peak_memory_mb(self) -> PeakMemory:
        return PeakMemory(None, 1.0)

    def sources(self) -> dict[str, str]:
        return {"train.py": "1f"}

    def proofs(self) -> dict[str, Proof]:
        return {}

    def evaluate(self) -> float:
        self.log.append("evaluate")
        return 1.5

    def close(self) -> None:
        self.log.append("close")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> KnownSystem:
    clock = Clock()
    for module in (trial, timing, phase_clock):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock))
    system = KnownSystem(clock)

    def canary_s(device: torch.device) -> float:
        system.log.append("canary")
        return 0.02

    monkeypatch.setattr(device_speed, "device_canary_s", canary_s)
    return system


def run(system: KnownSystem, window: WindowSpec) -> TrialResult:
    workload: Any = SimpleNamespace(build=lambda *_: system)
    return trial.run_trial(workload, WorkloadSpec(), Path(), TrialSpec("k", (), 1, 0), window, compiler_import_s=0.5)


def test_speed_is_episodes_over_the_time_of_finished_work(known: KnownSystem) -> None:
    result = run(known, WindowSpec(warmup_s=10, warmup_updates=2, timed_s=5, timed_updates=1))
    assert result.warmup_update_s == (9.0, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert result.update_s == (2.0, 2.0, 2.0)
    assert result.episodes_per_min == pytest.approx(60 * 3 / 2)
    assert result.env_steps_per_s == pytest.approx(3 * 10 / 2)
    assert result.compile_s == pytest.approx(7.0 + 0.5)


def test_where_the_first_update_sets_up_its_time_is_that_of_the_set_up(
    known: KnownSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = WindowSpec(warmup_s=0, timed_s=0)
    monkeypatch.setattr(known, "compiles", False)
    assert run(known, window).setup_s == 0.0
    known.log.clear()
    monkeypatch.setattr(known, "first_update_sets_up", True)
    found = run(known, window)
    assert (found.setup_s, found.compile_s) == (9.0, None)


def test_reading_what_an_update_told_is_in_no_updates_time(known: KnownSystem) -> None:
    """Not in its own, and not in the next one's, which would wait for it on a device of its own."""
    known.reading_s = 3.0
    result = run(known, WindowSpec(warmup_s=0, warmup_updates=2, timed_s=0, timed_updates=3))
    assert (result.warmup_update_s, result.update_s) == ((9.0, 2.0, 2.0), (2.0, 2.0, 2.0))
    assert result.training_return == (1.0, 3.0, 4.0, 6.0, 7.0, 8.0)  # update() tells how long the log is


def test_both_limits_of_a_window_must_be_reached(known: KnownSystem) -> None:
    result = run(known, WindowSpec(warmup_s=0, warmup_updates=3, timed_s=0, timed_updates=4))
    assert len(result.warmup_update_s) == 1 + 3
    assert len(result.update_s) == 4


def test_the_window_goes_on_until_its_mean_is_known(known: KnownSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [float(value) for value in np.random.default_rng(1).uniform(1, 3, 1000)]
    monkeypatch.setattr(known, "update_s", lambda: seconds[known.log.count("update")])
    limits = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=4, timed_most_s=10_000, timed_error=0.04)
    update_s = run(known, limits).update_s
    assert len(update_s) > 20
    errors = [
        stats.sem(batches) / np.mean(batches)
        for count in (len(update_s), len(update_s) * 15 // 16 - 1)  # it is looked at in steps of up to a sixteenth
        if (batches := [float(np.mean(batch)) for batch in np.array_split(update_s[:count], 8)])
    ]
    assert errors[0] <= 0.04 < errors[1]


def test_long_windows_are_looked_at_in_growing_steps(known: KnownSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking takes as long as the window is: at every update of many short ones it would take longer than they do."""
    looked: list[int] = []

    def look(times: Sequence[float]) -> float:
        looked.append(len(times))
        return math.inf

    monkeypatch.setattr(timing, "mean_error", look)
    limits = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=4, timed_most_s=4500, timed_error=0.01)
    updates = len(run(known, limits).update_s)
    assert updates == 2000
    assert looked[:29] == [*range(4, 33)]
    assert all(after <= before * 17 / 16 + 1 for before, after in pairwise(looked))
    assert len(looked) < 150


def test_a_mean_that_stays_unknown_does_not_hold_a_trial_up(
    known: KnownSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [float(value) for value in np.random.default_rng(1).uniform(2, 4, 1000)]
    monkeypatch.setattr(known, "update_s", lambda: seconds[known.log.count("update")])
    limits = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=4, timed_most_s=60, timed_error=1e-9)
    result = run(known, limits)
    assert 60 <= sum(result.update_s) + 0.25 * len(result.update_s) <= 60 + 4.25


def test_energy_is_that_of_the_timed_window(known: KnownSystem) -> None:
    result = run(known, WindowSpec(warmup_s=3, warmup_updates=1, timed_s=0, timed_updates=4))
    # Each update of 2 s is followed by a check of 0.25 s, in which the machine draws its 50 W as well.
    assert result.energy_j_per_episode == pytest.approx(50 * 2.25 / 3)


def test_the_timers_share_is_that_of_an_update_without_work(
    known: KnownSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def synchronize() -> None:
        KnownSystem.synchronize(known)
        known.clock.now += 0.1

    monkeypatch.setattr(known, "synchronize", synchronize)
    result = run(known, WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=4))
    assert result.timer_share == pytest.approx(0.1 / 2.1)


def test_phases_and_counts_come_after_the_evaluation_and_feed_no_speed(known: KnownSystem) -> None:
    result = run(known, WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=2))
    assert known.log == [
        "update", "numerics", "update", "window", "update", "update", "stream", "evaluate",
        "pieces", "unmeasured", "count", "close", "canary",
    ]  # fmt: skip
    assert result.canary_s == (0.02,), "read once nothing of the trial runs any more, not even what loads its data"
    # 12 ms of the window's two updates of 3 episodes were spent waiting.
    phases = {"other": 1000 / 4, "step": 1000 / 4, "loss": 3000 / 4, "feed": 2.0}
    assert result.phase_ms_per_episode == pytest.approx(phases)
    assert result.counts is not None
    assert result.counts.per_episode == {"dispatches": 7.0}


def test_returns_of_all_updates_are_the_learning_curve(known: KnownSystem) -> None:
    result = run(known, WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=2))
    assert result.training_return == (1.0, 3.0, 5.0, 6.0)


def test_a_system_that_fails_is_closed(known: KnownSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "evaluate", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(known, WindowSpec(warmup_s=0, timed_s=0))
    assert known.log[-1] == "close"


def test_the_outcomes_of_checks_are_kept_and_their_time_is_in_no_update(known: KnownSystem) -> None:
    result = run(known, WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=2))
    assert {name: check.same for name, check in result.numerics.items()} == {"gradient": True, "stream": False}
    assert result.numerics_s == pytest.approx(4.0)
    assert result.update_s == (2.0, 2.0)


def test_a_number_that_is_not_finite_ends_the_trial_at_once(
    known: KnownSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> None:
        if known.log.count("update") == 3:
            raise FloatingPointError("update 3: the loss is not finite")

    monkeypatch.setattr(known, "check_finite", check)
    with pytest.raises(FloatingPointError, match="update 3"):
        run(known, WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=9))
    assert known.log[-2:] == ["update", "close"]


def test_a_fingerprint_is_of_the_fourth_update_which_is_timed_nowhere(known: KnownSystem) -> None:
    """It is slowed by being watched; what it told is told all the same, and a warm-up follows."""
    known.offers_proofs = False
    window = WindowSpec(warmup_s=1, warmup_updates=2, timed_s=0, timed_updates=4)
    result = run(known, window)
    assert result.fingerprint is not None
    assert result.fingerprint.update == 4
    # update() makes a tensor of the update's number
    assert "aten.lift_fresh.default(float32)" in result.fingerprint.operators
    assert result.warmup_update_s == (9.0, 2.0, 2.0, 2.0)
    assert len(result.training_return) == 1 + 2 + 1 + 1 + 4 == known.log.count("update")


def test_of_a_system_that_proves_its_layers_and_of_one_in_turns_none_is_taken(known: KnownSystem) -> None:
    assert run(known, WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=1)).fingerprint is None

"""What is told while machines work: of each what it does and how fast, of all how long it takes."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from made_run import BASELINE_SPEED, description_document, make_record, run_timed
from rich.console import Console

from m2bench.fleet import progress
from m2bench.fleet.cluster import Machine
from m2bench.fleet.progress import FleetProgress
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials

SPEC = RunSpec(("amp",), ("full",), 4, seed=0, learning="off", mini_blocks_apart=True)
SYSTEM = make_record(SPEC, description_document(SPEC.layers)).description.system
FAST, SLOW = Machine("fast", "w1"), Machine("slow", "w2")
PART = make_trials(SPEC)[:3]  # baseline, amp, baseline


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def run_part(shown: FleetProgress, machine: Machine, kind: str, clock: Clock, trial_s: float, name: str = "") -> None:
    shown.takes(machine, name, len(PART))
    for trial in PART:
        shown.begins(machine, trial)
        clock.now += trial_s
        shown.ended(machine, kind, SYSTEM, run_timed(trial, 1.0, "ok", None))
    shown.leaves(machine)


def test_the_time_left_is_that_of_the_slowest_kind(clock: Clock) -> None:
    """Three trials of 10 s and nine to go, beside three of 2 s (from 30 s on) and three to go: 90 s and 6 s. After
    a resumption what had been done before says nothing of the speed.
    """
    output = StringIO()
    with FleetProgress(Console(file=output, width=200)) as shown:
        shown.planned("m1", 12, 0)
        run_part(shown, SLOW, "m1", clock, 10.0)
        shown.planned("m4", 300, 294)
        run_part(shown, FAST, "m4", clock, 2.0)
        clock.now = 200.0
        shown.planned("m1", 12, 3)
        shown.planned("m4", 300, 297)
        run_part(shown, SLOW, "m1", clock, 10.0, "part 3 of 4")
    lines = output.getvalue().splitlines()
    assert lines[0].endswith("3 of 12 trials on all machines, about 0:01:30 left")
    assert not lines[1].endswith("left"), "nothing is known of the other kind"
    assert f"slow: part 3 of 4 finished; last baseline {BASELINE_SPEED:.3g} episodes/min; 303 of 312" in lines[1]


def test_lines_are_few_where_the_output_is_no_terminal(clock: Clock) -> None:
    output = StringIO()
    with FleetProgress(Console(file=output)) as shown:
        shown.planned("m1", 300, 0)
        for _ in range(100):
            run_part(shown, FAST, "m1", clock, 1.0)
        shown.tell("fast", "lost: it has gone")
    lines = output.getvalue().splitlines()
    assert len(lines) == 300 / progress.SPARSE_S + 1
    assert lines[-1] == "fast: lost: it has gone", "what happened is told at once"


def test_a_terminal_has_a_line_for_each_machine_at_work(clock: Clock) -> None:
    output = StringIO()
    with FleetProgress(Console(file=output, force_terminal=True, width=160, color_system=None)) as shown:
        shown.planned("m1", 12, 0)
        for machine in (FAST, SLOW):
            shown.takes(machine, "part 1 of 4", 3)
            shown.begins(machine, PART[1])
        shown.ended(SLOW, "m1", SYSTEM, replace(run_timed(PART[1], 1.0, "failed", "no memory")))
        shown.gone(FAST)
        shown.lost("m1", 1)
    last = output.getvalue().split("\x1b[2K")
    assert any("slow: amp: failed: no memory" in line for line in last)
    assert "slow, part 1 of 4" in last[-1]
    assert "fast" not in last[-1]
    assert "0/12" in "".join(last[-2:])

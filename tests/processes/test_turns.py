"""Trials that are timed by turns never work at the same time, and none waits for one that has gone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from m2bench.processes.turns import Leader, Turns


class Trial(threading.Thread):
    """Notes when each of its turns begins and ends; gives up after ``patience`` turns."""

    def __init__(self, leader: Leader, name: str, log: list[tuple[str, str]], count: int, patience: int = 1000):
        super().__init__(name=name)
        self.turns = Turns(leader.address, name, count, 0.01)
        self.log = log
        self.patience = patience
        self.error: BaseException | None = None
        self.start()

    def work(self) -> None:
        self.log.append((self.name, "begin"))
        time.sleep(self.turns.seconds)
        self.log.append((self.name, "end"))

    def run(self) -> None:
        try:
            with self.turns:
                self.work()
                for number in range(self.turns.count + 1):
                    if number == self.patience:
                        raise RuntimeError("patience is at its end")
                    self.turns.pass_on()
                    self.work()
        except (RuntimeError, OSError) as error:
            self.error = error


@pytest.mark.parametrize("called", ["short", "long" * 30, "ü" * 60], ids=["short", "long", "long in bytes"])
def test_turns_alternate_and_never_overlap(called: str, tmp_path: Path) -> None:
    """Whatever the folder's name: a socket's path may have some hundred bytes."""
    folder = tmp_path / called
    folder.mkdir()
    log: list[tuple[str, str]] = []
    with Leader(folder) as leader:
        trials = [Trial(leader, name, log, count=1) for name in ("b", "a")]
        leader.lead(("a", "b"), 1, lambda: False)
        for trial in trials:
            trial.join(5)
            assert trial.error is None
    assert log == [(name, moment) for name in "abbaab" for moment in ("begin", "end")]
    assert called == "short" or not Path(leader.address).parent.exists()


def test_a_trial_whose_partner_has_gone_is_told(tmp_path: Path) -> None:
    log: list[tuple[str, str]] = []
    with Leader(tmp_path) as leader:
        gone, left = Trial(leader, "a", log, 100, patience=1), Trial(leader, "b", log, 100)
        leader.lead(("a", "b"), 100, lambda: False)
        gone.join(5)
    left.join(5)
    assert isinstance(left.error, RuntimeError)
    assert len(log) < 12


def test_a_trial_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    with Leader(tmp_path) as leader:
        waiting = Trial(leader, "a", [], 3)
        begin = time.monotonic()
        leader.lead(("a", "b"), 3, lambda: time.monotonic() - begin > 0.1)
    waiting.join(5)
    assert isinstance(waiting.error, RuntimeError)


def test_without_a_leader_there_is_no_turn(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Turns(str(tmp_path / "turns"), "a", 1, 0.1):
        pass

"""How far a run on several machines is: a line for each machine at work, and one for all.

Where the output is no terminal, a line now and then when a machine has finished a part.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from m2bench.plan.scale_trials import point_of
from m2bench.records.combinations import BASELINE
from m2bench.records.description import SystemDescription
from m2bench.records.spec import TrialSpec
from m2bench.store.stored_trial import StoredTrial
from m2bench.text.speed import Speed

from .cluster import Machine

SPARSE_S = 30.0
"""Between lines where the output is no terminal."""


@dataclass
class _KindProgress:
    """How far the machines of one kind are; ``ran``: trials that ended in this process, since ``begin``."""

    total: int
    done: int
    begin: float
    ran: int = 0

    @property
    def left_s(self) -> float | None:
        """By the speed so far; None where nothing ran yet."""
        left = self.total - self.done
        return left * (time.monotonic() - self.begin) / self.ran if self.ran else None if left else 0.0


class FleetProgress:
    """Shows what every machine does. May be told by several threads."""

    def __init__(self, console: Console):
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
            auto_refresh=False,  # this machine may be one of those that measure
        )
        self._all = self._progress.add_task("all machines", total=0, note="")
        self._kinds: dict[str, _KindProgress] = {}
        self._lines: dict[Machine, TaskID] = {}
        self._doing: dict[Machine, str] = {}
        self._speeds: dict[Machine, str] = {}
        self._told = time.monotonic()
        self._lock = Lock()

    def __enter__(self) -> FleetProgress:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def planned(self, kind: str, trials: int, done: int) -> None:
        """A kind of machine has so many trials to do, of which some are done already."""
        with self._lock:
            self._kinds[kind] = _KindProgress(trials, done, time.monotonic())
            self._show_all()

    def tell(self, machine: str, text: str) -> None:
        """What happened to a machine."""
        self._console.print(f"{machine}: {text}", markup=False, highlight=False, soft_wrap=True)

    def takes(self, machine: Machine, what: str, trials: int) -> None:
        """The machine begins with so many trials."""
        with self._lock:
            self._doing[machine] = what
            self._lines[machine] = self._progress.add_task(escape(f"{machine.name}, {what}"), total=trials, note="")

    def begins(self, machine: Machine, trial: TrialSpec) -> None:
        with self._lock:
            note = "; ".join(filter(None, [point_of(trial).said(), self._speeds.get(machine)]))
            self._progress.update(self._lines[machine], note=escape(note), refresh=True)

    def ended(self, machine: Machine, kind: str, system: SystemDescription, trial: StoredTrial) -> None:
        if trial.status != "ok":
            self.tell(machine.name, f"{point_of(trial.spec).said()}: {trial.status}: {trial.reason}")
        with self._lock:
            if trial.status == "ok" and trial.spec.kind == "speed" and trial.spec.layers == BASELINE:
                self._speeds[machine] = f"last baseline {Speed.of(system).said(trial.timed.episodes_per_min)}"
            if trial.spec.repeats is None:
                self._progress.update(self._lines[machine], advance=1)
                if trial.spec.kind == "speed":
                    self._kinds[kind].done += 1
                    self._kinds[kind].ran += 1
            self._show_all()

    def leaves(self, machine: Machine) -> None:
        """The machine has finished what it took."""
        with self._lock:
            done = self._doing[machine]
            self._forget(machine)
            if not self._console.is_terminal and time.monotonic() - self._told >= SPARSE_S:
                self._told = time.monotonic()
                told = "; ".join(filter(None, [f"{done} finished", self._speeds.get(machine), self._said()]))
                self.tell(machine.name, told)

    def lost(self, kind: str, trials: int) -> None:
        """So many trials of the machine, which has gone, count no more."""
        with self._lock:
            self._kinds[kind].done -= trials
            self._show_all()

    def gone(self, machine: Machine) -> None:
        """The machine does nothing from here on."""
        with self._lock:
            self._forget(machine)

    def _forget(self, machine: Machine) -> None:
        self._doing.pop(machine, None)
        if machine in self._lines:
            self._progress.remove_task(self._lines.pop(machine))

    def _show_all(self) -> None:
        total, done = self._sums()
        self._progress.update(self._all, total=total, completed=done, note=self._left(), refresh=True)

    def _said(self) -> str:
        total, done = self._sums()
        return ", ".join(filter(None, [f"{done} of {total} trials on all machines", self._left()]))

    def _sums(self) -> tuple[int, int]:
        return sum(kind.total for kind in self._kinds.values()), sum(kind.done for kind in self._kinds.values())

    def _left(self) -> str:
        """Of the kind that takes longest; kinds work beside each other."""
        left = [kind.left_s for kind in self._kinds.values()]
        known = [left_s for left_s in left if left_s is not None]
        longest_s = round(max(known, default=0)) if len(known) == len(left) else 0
        return f"about {timedelta(seconds=longest_s)} left" if longest_s else ""

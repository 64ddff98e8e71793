"""How far a run on several machines is, on the terminal: a line for each machine, and one for all."""

from __future__ import annotations

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
    TimeRemainingColumn,
)

from m2bench.plan.scale_trials import point_of
from m2bench.records.combinations import BASELINE
from m2bench.records.description import SystemDescription
from m2bench.records.spec import TrialSpec
from m2bench.store.stored_trial import StoredTrial
from m2bench.text.speed import Speed

from .cluster import Machine


class FleetProgress:
    """Shows what every machine does; silent when nobody watches. May be told by several threads."""

    def __init__(self, console: Console):
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=3600.0,
            auto_refresh=False,  # this machine may be one of those that measure
        )
        self._all = self._progress.add_task("all machines", total=0, note="left")
        self._lines: dict[Machine, TaskID] = {}
        self._lock = Lock()

    def __enter__(self) -> FleetProgress:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def planned(self, trials: int, done: int) -> None:
        """There are so many more trials to do, of which some are done already."""
        with self._lock:
            (task,) = (task for task in self._progress.tasks if task.id == self._all)
            self._progress.update(self._all, total=(task.total or 0) + trials, completed=task.completed + done)

    def tell(self, machine: str, text: str) -> None:
        """What happened to a machine."""
        self._console.print(f"{machine}: {text}")

    def takes(self, machine: Machine, what: str, trials: int | None) -> None:
        """The machine begins with so many trials."""
        with self._lock:
            if machine in self._lines:
                self._progress.remove_task(self._lines[machine])
            self._lines[machine] = self._progress.add_task(escape(f"{machine.name}, {what}"), total=trials, note="")

    def begins(self, machine: Machine, trial: TrialSpec) -> None:
        self._progress.update(self._lines[machine], note=escape(point_of(trial).said()), refresh=True)

    def ended(self, machine: Machine, system: SystemDescription, trial: StoredTrial) -> None:
        line = self._lines[machine]
        if trial.status != "ok":
            self.tell(machine.name, f"{point_of(trial.spec).said()}: {trial.status}: {trial.reason}")
        elif trial.spec.kind == "speed" and trial.spec.layers == BASELINE:
            note = escape(f"baseline {Speed.of(system).said(trial.timed.episodes_per_min)}")
            self._progress.update(line, note=note)
        if trial.spec.repeats is None:
            self._progress.update(line, advance=1, refresh=True)
            if trial.spec.kind == "speed":
                self._progress.update(self._all, advance=1)

    def lost(self, machine: Machine, trials: int) -> None:
        """So many trials of the machine count no more, and it does nothing from here on."""
        with self._lock:
            self._progress.update(self._all, advance=-trials)
            if machine in self._lines:
                self._progress.remove_task(self._lines.pop(machine))

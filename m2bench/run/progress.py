"""How far a run is, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from m2bench.machine.conditions import busy_cores
from m2bench.plan.scale_trials import point_of
from m2bench.records.combinations import BASELINE, combination_name
from m2bench.records.spec import TrialKind, TrialSpec
from m2bench.store.stored_trial import StoredTrial

from .quiet import Quiet


class RunProgress:
    """Shows how far the run is; silent when nobody watches. ``planned``: so many trials of this ``kind``."""

    def __init__(
        self, console: Console, planned: int, stored: list[StoredTrial], wait_s: float, kind: TrialKind = "speed"
    ):
        self._baseline: dict[int, float] = {}
        self._best = (0.0, "")
        self._told: set[str | None] = set()
        self._load: float | None = None
        self.quiet = Quiet(wait_s, self._waits)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            TextColumn("{task.fields[load]}"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=3600.0,
            auto_refresh=False,  # drawn between trials alone: drawing in a timed window would take its CPU
        )
        for trial in stored:
            self._rate(trial)
        done = [trial.spec.kind for trial in stored if trial.spec.repeats is None]
        kinds: tuple[TrialKind, ...] = ("speed", "learning")
        self._tasks = {
            one: self._progress.add_task(
                "",
                total=planned if one == kind else None,  # how many of the others depends on how long they take
                completed=done.count(one),
                visible=one == kind,
                best="",
                load="",
            )
            for one in kinds
        }

    def __enter__(self) -> RunProgress:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def _waits(self, load: float) -> None:
        description = f"waiting for other processes to finish ({load:.1f} cores busy)"
        self._progress.update(self._tasks["speed"], description=description, refresh=True)

    def begins(self, trial: TrialSpec) -> None:
        if self._load is not None:
            self.quiet.wait()
        description = f"{trial.kind}: {point_of(trial).said()}"
        self._progress.update(self._tasks[trial.kind], description=escape(description), visible=True, refresh=True)

    def _rate(self, trial: StoredTrial) -> None:
        if trial.status == "ok" and trial.spec.kind == "speed":
            speed = trial.timed.episodes_per_min
            if trial.spec.layers == BASELINE:
                self._baseline.setdefault(trial.spec.block, speed)
            elif trial.spec.block in self._baseline:
                ratio = speed / self._baseline[trial.spec.block]
                self._best = max(self._best, (ratio, combination_name(trial.spec.layers)))

    def ended(self, trial: StoredTrial) -> None:
        self._rate(trial)
        self._load = busy_cores(trial.conditions)
        load = "" if self._load is None else f"slowed by other processes ({self._load:.1f} cores busy): close them"
        if trial.status != "ok":
            why = "for the same reason" if trial.reason in self._told else trial.reason
            self._told.add(trial.reason)
            self._progress.console.print(f"{point_of(trial.spec).said()}: {trial.status}: {why}")
        best = f"best {self._best[0]:.1f}x {self._best[1]}" if self._best[0] else ""
        advance = 1 if trial.spec.repeats is None else 0
        self._progress.update(self._tasks[trial.spec.kind], advance=advance, best=escape(best), load=load, refresh=True)

"""One ablation over several machines: machines of one kind share out its blocks, and every kind has a run of its own.

The parent does what it does in a run on its own machine: it goes through the trials and stores each as it ends. Only
the trial itself is run elsewhere (machine_session.py), one at a time on each machine. A thread for each machine waits
for it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError, quoted
from m2bench.machine.conditions import are_disturbed
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import shares_of
from m2bench.plan.remaining import remaining_learning, repeated_trials
from m2bench.records.description import Description
from m2bench.records.same_machine import kind_name, kind_of
from m2bench.records.spec import TrialSpec
from m2bench.run.quiet import Quiet
from m2bench.run.resuming import refuse_another, refuse_another_trainer, refuse_changed_imports
from m2bench.run.trials import Execute, Watched, run_trials
from m2bench.store.files import add_to_log
from m2bench.store.fleet import add_event, begin_fleet, folders_of_kinds
from m2bench.store.folders import locked, make_folder, refuse_used
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import Result, RunRecord, StoredTrial

from . import machine_session
from .block_shares import Shares
from .cluster import Cluster, Machine, MachineLost, Refused, Stopped, refusing
from .lock import SessionEnded
from .machine_session import Readiness
from .progress import FleetProgress
from .shipping import shipped_for

LOOK_S = 1.0
PATIENCE_S = 60.0
"""How long a run waits for a machine when it has none."""
JOIN_S = 15.0


@dataclass
class Kind:
    """A kind of machine and the run on it."""

    name: str
    folder: Path
    record: RunRecord
    planned: dict[int, list[TrialSpec]]
    shares: Shares
    learning: threading.Lock = field(default_factory=threading.Lock)
    """Held by the machine that runs learning trials."""
    finished: bool = False

    @property
    def unsupported(self) -> dict[str, str]:
        """The layers that cannot run on it, and why."""
        taking_part = [layer for layer in self.record.description.layers if layer.name in self.record.spec.layers]
        return {layer.name: layer.unsupported for layer in taking_part if layer.unsupported}


def run_fleet(
    spec: RunSpec, folder: Path, resuming: bool, scheduler: AbstractContextManager[str], wait_s: float,
    console: Console,
) -> None:  # fmt: skip
    """Run what is missing of the run in ``folder`` on the machines of a Dask scheduler, and store it here.

    ``scheduler``: gives its address, and holds it as long as it is needed.

    On each machine it waits up to ``wait_s`` seconds in all while other processes keep it busy.

    Raises UserError for what the user can put right; an interruption leaves every finished trial stored.
    """
    if not resuming:
        refuse_used(folder, f"Continue a run with: m2bench ablate --resume {quoted(folder)}, or choose another --out.")
    with scheduler as address, Cluster(address) as cluster:
        make_folder(folder)
        with locked(folder, folder / "lock"), FleetProgress(console) as progress:
            begin_fleet(folder, spec)
            _Fleet(spec, folder, cluster, wait_s, progress).run()


class _Fleet:
    """The run, by one thread for each machine and the main one, which looks for machines."""

    def __init__(self, spec: RunSpec, folder: Path, cluster: Cluster, wait_s: float, progress: FleetProgress):
        self._spec = spec
        self._folder = folder
        self._cluster = cluster
        self._wait_s = wait_s
        self._progress = progress
        self._run = uuid.uuid4().hex[:12]
        self._shipped = shipped_for(spec.workload)
        self._kinds: list[Kind] = []
        self._choosing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._adding = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        for path in folders_of_kinds(folder).values():
            with Store.open(path) as store:
                refuse_changed_imports(path, store.attempts(), Path(spec.workload.folder))
                self._add_kind(path, store)

    def run(self) -> None:
        """Until all kinds of machines that take part have done all."""
        last_seen = time.monotonic()
        try:
            while not self._is_finished():
                for machine in self._cluster.look():
                    self._threads.append(threading.Thread(target=self._serve, args=(machine,), daemon=True))
                    self._threads[-1].start()
                for worker, reason in self._cluster.refused().items():
                    self._tell(worker, f"left out: {reason}")
                if self._failure is not None:
                    raise self._failure
                if self._is_anyone_at_work():
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > PATIENCE_S:
                    raise self._nobody_left()
                time.sleep(LOOK_S)
            if self._failure is not None:  # in the last moment
                raise self._failure
        finally:
            self._stop()

    def _is_anyone_at_work(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _is_finished(self) -> bool:
        return bool(self._kinds) and all(kind.finished for kind in self._kinds) and not self._is_anyone_at_work()

    def _nobody_left(self) -> UserError:
        begun = [kind.name for kind in self._kinds if not kind.finished]
        what = f"no machine is left for {', '.join(begun)}" if begun else "no machine takes part"
        return UserError(
            f"{what}; what happened is above and in {self._folder}.",
            f"When machines answer, continue with: m2bench ablate --resume {quoted(self._folder)} --scheduler ...",
        )

    def _stop(self) -> None:
        """End what runs anywhere, and the threads here."""
        for kind in self._kinds:
            kind.shares.stop()
        self._cluster.stop()
        self._end_sessions()
        deadline = time.monotonic() + JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._end_sessions()  # those too that a thread has begun meanwhile

    def _end_sessions(self) -> None:
        with suppress(OSError):  # a machine that has gone has nothing running
            self._cluster.end_sessions(self._run)

    def _tell(self, machine: str, text: str) -> None:
        self._progress.tell(machine, text)
        add_event(self._folder, machine, text)

    def _serve(self, machine: Machine) -> None:
        """Let a machine do what there is to do for its kind. What fails here, not there, ends the run."""
        try:
            try:
                self._work(machine)
            except (MachineLost, SessionEnded) as lost:
                self._tell(machine.name, f"lost: {lost or 'its session has ended'}")
            except Refused as refused:
                self._tell(machine.name, f"left out: {refused}")
            finally:
                self._progress.gone(machine)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 (the main thread raises it)
            self._failure = error

    def _work(self, machine: Machine) -> None:
        kind = self._join(machine)
        while (number := kind.shares.take(machine.name)) is not None:
            self._run_share(machine, kind, number)
        with kind.learning:
            self._run_learning(machine, kind)
            kind.finished = True
        self._cluster.ask(machine, machine_session.end, self._run)

    def _join(self, machine: Machine) -> Kind:
        """Begin a session on the machine; the kind of machine that it is.

        The first machine of a kind finds with how many threads trials compute. Raises Refused for a machine that
        measures something else than the others, or wrongly.
        """
        description = self._cluster.ask(machine, machine_session.begin, self._run, self._spec, self._shipped)
        facts = kind_of(description)
        with self._choosing[str(facts)]:
            kind = next((each for each in self._kinds if kind_of(each.record.description) == facts), None)
            if kind is None:
                ready = self._cluster.ask(machine, machine_session.make_ready, self._run, self._spec.threads, False)
                self._show_remarks(machine, ready)
                return self._new_kind(machine, ready)
        ready = self._cluster.ask(machine, machine_session.make_ready, self._run, kind.record.spec.threads, True)
        self._show_remarks(machine, ready)
        with refusing():
            _refuse_other_code(kind, ready.description)
            refuse_another(kind.folder, kind.record.description, ready.description)
            _refuse_other_layers(kind, ready.description)
        self._tell(machine.name, f"takes part as {kind.name}")
        return kind

    def _show_remarks(self, machine: Machine, ready: Readiness) -> None:
        for line in ready.remarks.splitlines():
            self._progress.tell(machine.name, line)

    def _new_kind(self, machine: Machine, ready: Readiness) -> Kind:
        with self._adding:
            with refusing():
                for other in self._kinds[:1]:
                    _refuse_other_market(other, ready.description)
                    _refuse_other_code(other, ready.description)
                    refuse_another_trainer(other.folder, other.record.description, ready.description)
            name = kind_name(kind_of(ready.description))
            taken = {kind.name for kind in self._kinds}
            names = chain([name], (f"{name}-{number}" for number in range(2, len(taken) + 3)))
            folder = self._folder / next(each for each in names if each not in taken)
            make_folder(folder / "logs")
            started = datetime.now(UTC).isoformat(timespec="seconds")
            spec = replace(self._spec, threads=ready.threads)
            with Store.create(folder, RunRecord(spec, started, ready.description, ready.prepared)) as store:
                kind = self._add_kind(folder, store)
        self._tell(machine.name, f"takes part as {kind.name}, the first of its kind")
        return kind

    def _add_kind(self, folder: Path, store: Store) -> Kind:
        """With what is still to do; of mini-blocks that are not finished nothing counts."""
        record = store.record()
        store.replan(replace(record.spec, blocks=self._spec.blocks))
        record = store.record()
        planned = shares_of(record.spec)
        counting = [trial.spec for trial in store.attempts() if not trial.spec.set_aside]
        done = {trial.planned_key for trial in counting}
        waiting = [number for number, trials in planned.items() if not {trial.key for trial in trials} <= done]
        store.set_aside([trial.key for trial in counting if not {*trial.mini_blocks}.isdisjoint(waiting)])
        open_trials = sum(len(planned[number]) for number in waiting)
        total = sum(map(len, planned.values()))
        self._progress.planned(folder.name, total, total - open_trials)
        learning = remaining_learning(record.spec, record.description, store.attempts)
        finished = not waiting and next(learning, None) is None
        kind = Kind(folder.name, folder, record, planned, Shares(waiting), finished=finished)
        self._kinds.append(kind)
        return kind

    def _executor(self, machine: Machine) -> Execute:
        """Runs trials on the machine; their logs are kept here."""

        def execute(trial: TrialSpec, log: Path) -> Watched[Result]:
            measured = self._cluster.ask(machine, machine_session.run_trial, self._run, trial)
            add_to_log(log, measured.log)
            found = measured.found
            return replace(found, conditions=replace(found.conditions, machine=machine.name))

        return execute

    def _run_share(self, machine: Machine, kind: Kind, number: int) -> None:
        """Run a mini-block with its anchors; where that cannot be finished it is to be run again from its beginning."""
        planned, attempts = kind.planned[number], list[StoredTrial]()
        what = f"part {number} of {len(kind.planned)} (block {planned[0].block} of {kind.name})"
        self._progress.takes(machine, what, len(planned))

        look = partial(self._cluster.ask, machine, machine_session.other_load, self._run)
        quiet = Quiet(self._wait_s, lambda load: None, look)

        def begins(trial: TrialSpec) -> None:
            if attempts and are_disturbed(attempts[-1].conditions):
                quiet.wait()
            self._progress.begins(machine, trial)

        def ended(trial: StoredTrial) -> None:
            attempts.append(trial)
            self._progress.ended(machine, kind.name, kind.record.description.system, trial)

        trials = chain(planned, repeated_trials(planned, lambda: attempts, quiet.is_quiet))
        try:
            with Store.open(kind.folder) as store:
                run_trials(trials, kind.unsupported, store, self._executor(machine), begins, ended)
        except (MachineLost, SessionEnded, Refused):
            self._give_back(machine, kind, number, attempts)
            raise
        self._progress.leaves(machine)
        kind.shares.finish(number)

    def _give_back(self, machine: Machine, kind: Kind, number: int, attempts: list[StoredTrial]) -> None:
        planned = kind.planned[number]
        try:
            with Store.open(kind.folder) as store:
                store.set_aside([trial.spec.key for trial in attempts])
            self._progress.lost(kind.name, sum(trial.spec.repeats is None for trial in attempts))
            where = f"{len(attempts)} of {len(planned)} trials into part {number} of {kind.name}"
            self._tell(machine.name, f"gave up {where}, which is run again whole")
        finally:
            is_tried_again = kind.shares.give_back(number)
        if not is_tried_again:
            self._failure = UserError(
                f"part {number} of {kind.name} could not be finished on any of several machines.",
                f"What happened is in {self._folder}; mend it and resume the run.",
            )

    def _run_learning(self, machine: Machine, kind: Kind) -> None:
        with Store.open(kind.folder) as store:
            remaining = remaining_learning(kind.record.spec, kind.record.description, store.attempts)

            def begins(trial: TrialSpec) -> None:
                self._progress.takes(machine, "learning", 1)  # how many follow depends on how long they take
                self._progress.begins(machine, trial)

            def ended(trial: StoredTrial) -> None:
                self._progress.ended(machine, kind.name, kind.record.description.system, trial)
                self._progress.leaves(machine)

            run_trials(remaining, kind.unsupported, store, self._executor(machine), begins, ended)


def _refuse_other_layers(kind: Kind, now: Description) -> None:
    """Raise UserError where other layers can run than on the first machine of the kind."""
    before = kind.unsupported
    for layer in now.layers:
        if layer.name in kind.record.spec.layers and bool(layer.unsupported) != (layer.name in before):
            raise UserError(
                f"the layer {layer.name} {'cannot' if layer.unsupported else 'can'} run here, other than on the first "
                f"machine of this kind ({layer.unsupported or before[layer.name]}).",
                "Make the machines alike.",
            )


def _refuse_other_code(kind: Kind, now: Description) -> None:
    before, found = kind.record.description.workload.sources, now.workload.sources
    other = [file for file, digest in before.items() if found.get(file) != digest]
    if other:
        raise UserError(
            f"its {', '.join(other)} is not the same as on {kind.name}.", "Copy the trainer's files to each machine."
        )


def _refuse_other_market(kind: Kind, now: Description) -> None:
    was, found = (each.workload.market.get("sha256") for each in (kind.record.description, now))
    if was != found:
        raise UserError(
            f"its market is another one than on {kind.name} (sha256 {found} and {was}).",
            "Name a file of this machine with --data, which is sent to all, or copy the same one to each.",
        )

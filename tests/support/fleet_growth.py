"""What distribution costs, and what many machines and many trials do, measured on this machine.

``python tests/support/fleet_growth.py PART...`` prints a table for each part. Machines are processes whose trials only
take time (timed_machines.py), so that cores do not matter; what is measured is everything around the trials.

``overhead``: what a trial takes beyond its length, by a scheduler and without one. ``efficiency``: of 1, 2, 4 and 8
machines. ``machines``: memory and speed with 100 machines. ``store``: 100,000 stored trials of 100 machines, 25 kinds
of four, and the report on them. ``report``: that on one kind, by its trials.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from distributed import Client
from machines import Machines
from made_run import description_document, make_record, run_timed
from psutil import Process
from rich.console import Console
from timed_machines import CALM, executor

from m2bench.fleet import parent
from m2bench.fleet.parent import run_fleet
from m2bench.fleet.progress import FleetProgress
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import count_trials, make_trials
from m2bench.plan.remaining import remaining_trials
from m2bench.records.spec import TrialSpec
from m2bench.report.write_report import write_and_show
from m2bench.run.trials import run_trials
from m2bench.store.fleet import begin_fleet, folders_of_kinds
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

SMALL = RunSpec(("amp", "batching"), ("full",), 1, seed=0, learning="off", mini_blocks_apart=True)
"""A block is one mini-block of five trials."""
LARGE = replace(SMALL, layers=("amp", "batching", "compile", "dataloader", "vectorized-loss"))
"""A block is four mini-blocks of eight combinations and two baselines each, 39 trials."""
MB = 2**20
SOME = 500


@dataclass
class Clock:
    """When the first trial began and the last one ended, and how many did."""

    begin: float | None = None
    end: float = 0.0
    trials: int = 0

    @property
    def wall_s(self) -> float:
        assert self.begin is not None
        return self.end - self.begin

    def begins(self, *_: object) -> None:
        self.begin = self.begin or time.monotonic()

    def ended(self, *_: object) -> None:
        self.end, self.trials = time.monotonic(), self.trials + 1


@contextmanager
def machines(number: int, trial_s: float) -> Iterator[Machines]:
    """So many of one kind, ready to work."""
    with tempfile.TemporaryDirectory() as folder, Machines(Path(folder)) as found:
        found.start_scheduler()
        for each in range(number):
            found.start(f"m{each}", trial_s=trial_s)
        with Client(found.scheduler, set_as_default=False) as client:
            client.wait_for_workers(number)
        yield found


def by_scheduler(
    at: Machines, spec: RunSpec, folder: Path, watch: Callable[[int], None] = lambda trials: None
) -> Clock:
    """Run it on all machines; ``watch`` is told how many trials have ended."""
    clock = Clock()

    class Timed(FleetProgress):
        def begins(self, *told: Any) -> None:
            clock.begins()
            super().begins(*told)

        def ended(self, *told: Any) -> None:
            clock.ended()
            watch(clock.trials)
            super().ended(*told)

    parent.FleetProgress = Timed  # type: ignore[attr-defined]
    run_fleet(spec, folder, False, nullcontext(at.scheduler), 0.0, Console(file=StringIO()))
    return clock


def alone(spec: RunSpec, folder: Path, trial_s: float) -> Clock:
    """The same trials one after the other in this process, as a run on one machine goes through them."""
    clock, record = Clock(), make_record(spec)
    (folder / "logs").mkdir(parents=True)
    with Store.create(folder, record) as store:
        trials = remaining_trials(spec, record.description, store.attempts)
        run_trials(trials, {}, store, executor(trial_s), clock.begins, clock.ended)
    return clock


def overhead(folder: Path, trial_s: float = 0.05, blocks: int = 60) -> None:
    spec = replace(SMALL, blocks=blocks)
    one = alone(spec, folder / "alone", trial_s)
    with machines(1, trial_s) as at:
        other = by_scheduler(at, spec, folder / "fleet")
    print(f"\noverhead: {one.trials} trials of {1e3 * trial_s:.0f} ms, one machine")
    for name, clock in (("without a scheduler", one), ("with a scheduler", other)):
        print(f"{name:24}{1e3 * (clock.wall_s / clock.trials - trial_s):8.1f} ms a trial beyond its length")


def efficiency(folder: Path, trial_s: float = 0.25, blocks: int = 64) -> None:
    spec, walls = replace(SMALL, blocks=blocks), dict[int, float]()
    print(f"\nefficiency: {count_trials(spec)} trials of {1e3 * trial_s:.0f} ms, in {blocks} mini-blocks")
    print(f"{'machines':>8}{'wall s':>10}{'speedup':>10}{'efficiency':>12}")
    for number in (1, 2, 4, 8):
        with machines(number, trial_s) as at:
            walls[number] = by_scheduler(at, spec, folder / str(number)).wall_s
        speedup = walls[1] / walls[number]
        print(f"{number:8}{walls[number]:10.1f}{speedup:10.2f}{speedup / number:12.1%}", flush=True)


def many_machines(folder: Path, number: int = 100, trial_s: float = 3.0, blocks: int = 200) -> None:
    spec = replace(LARGE, blocks=blocks)
    total = count_trials(spec)
    print(f"\nmachines: {total} trials of {trial_s:g} s on {number} machines")
    print(f"{'trials':>8}{'scheduler MB':>14}{'parent MB':>12}{'trials/s':>10}")
    with machines(number, trial_s) as at:
        scheduler, here, begin = Process(at.processes["scheduler"]), Process(), time.monotonic()

        def watch(trials: int) -> None:
            if trials in (1, total // 4, total // 2, total):
                used = [process.memory_info().rss / MB for process in (scheduler, here)]
                print(
                    f"{trials:8}{used[0]:14.0f}{used[1]:12.0f}{trials / (time.monotonic() - begin):10.1f}", flush=True
                )

        clock = by_scheduler(at, spec, folder / "run", watch)
    print(f"from the first to the last {clock.wall_s:.0f} s, of which trials {total * trial_s / number:.0f} s")


def stored(folder: Path, kinds: int = 25, machines_each: int = 4, trials: int = 4_000) -> None:
    spec = replace(LARGE, blocks=round(trials / count_trials(LARGE)))
    print(f"\nstore: {kinds} kinds of {machines_each} machines, {kinds} x {count_trials(spec)} trials")
    with timed("planning all"):
        planned = [make_trials(spec) for _ in range(kinds)]
    begin_fleet(folder, spec)
    for number, plan in enumerate(planned):
        _store(folder / f"kind-{number}", spec, plan, f"chip {number}", machines_each)
    with Store.open(folder / "kind-0") as store, timed(f"writing {SOME} trials, each as it ends"):
        for trial in planned[0][:SOME]:
            store.add(_made(replace(trial, key=f"{trial.key}.aside", set_aside=True), machines_each))
    print(f"{'size':44}{sum(path.stat().st_size for path in folder.glob('*/*.sqlite')) / MB:8.0f} MB")
    with timed("reading all"):
        for path in folders_of_kinds(folder).values():
            with Store.open(path) as store:
                store.attempts()
    with timed("report on all"):
        write_and_show(folder, Console(file=StringIO()))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{'memory of the process that did it':44}{peak_mb:8.0f} MB")


def report(folder: Path, machines_each: int = 4) -> None:
    print("\nreport on one kind")
    for blocks in (25, 50, 100, 200):
        spec = replace(LARGE, blocks=blocks)
        _store(folder / str(blocks), spec, make_trials(spec), "chip", machines_each)
        with timed(f"{count_trials(spec)} trials in {4 * blocks} mini-blocks"):
            write_and_show(folder / str(blocks), Console(file=StringIO()))


def _store(folder: Path, spec: RunSpec, plan: list[TrialSpec], chip: str, machines_each: int) -> None:
    """A kind's run, written at once."""
    document = description_document(spec.layers)
    document["machine"] |= {"chip": chip}
    with Store.create(folder, make_record(spec, document)) as store:
        store._connection.execute("BEGIN")
        for trial in plan:
            store.add(_made(trial, machines_each))
        store._connection.execute("COMMIT")


def _made(trial: TrialSpec, machines_each: int) -> StoredTrial:
    """A trial that scatters by 1 %, on one of the machines."""
    scatter = random.Random(trial.key).gauss(1, 0.01)
    ran_on = replace(CALM, machine=f"m{trial.mini_blocks[0] % machines_each}")
    return replace(run_timed(trial, scatter, "ok", None), conditions=ran_on)


@contextmanager
def timed(what: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    print(f"{what:44}{time.monotonic() - begin:8.1f} s", flush=True)


PARTS: dict[str, Callable[..., None]] = {
    "overhead": overhead, "efficiency": efficiency, "machines": many_machines, "store": stored,
    "report": report,
}  # fmt: skip

if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("parts", nargs="+", choices=PARTS)
    for part in asked.parse_args().parts:
        with tempfile.TemporaryDirectory() as made:
            PARTS[part](Path(made))

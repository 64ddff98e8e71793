"""Measuring blocks: in each, every combination under test of every side once, a fresh process each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar, cast

from m2bench.errors import UserError, WorkerError
from m2bench.processes.client import DESCRIBE_TIMEOUT_S, Launcher
from m2bench.processes.environment import users_environment
from m2bench.processes.job_requests import DescribeJob, Job, PrepareJob, TrialJob, TurnsOf
from m2bench.processes.json_lines import JobRequest
from m2bench.processes.turns import Leader
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Description, Prepared
from m2bench.records.documents import to_json
from m2bench.records.refusals import refuse_unsupported
from m2bench.records.results import Failure, TrialResult, idle_layers
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.run.threads import choose_threads

from .facts import SideFacts
from .layouts import layout_of, spec_fields
from .pairs import Block
from .sides import Code

TURN_S = 0.1  # of each of two trials that are timed by turns

OTHER_COMBINATIONS = "Name other combinations with --layers."

T = TypeVar("T")
Spec = WorkloadSpec | WindowSpec | TrialSpec
RunTrials = Callable[[Sequence[str], TrialSpec], dict[str, TrialResult]]
"""Runs one trial on each of the named sides, in this order; what they measured."""


@dataclass(frozen=True)
class Request:
    """What is measured of every side alike."""

    workload: WorkloadSpec
    window: WindowSpec
    combinations: tuple[Layers, ...]
    seed: int
    trial_timeout_s: float
    threads: int | None = None
    """How many torch uses in every trial; None until that is measured."""


class DivergedError(WorkerError):
    """The head's loss or gradient was not a finite number: it learns nothing."""


class SideLauncher(Launcher):
    """Asks code of any version. ``fields``: those of each specification that this version knows."""

    fields: Mapping[str, Collection[str]]

    def document(self, job: Job) -> JobRequest:
        specs = {name: spec for name, spec in vars(job).items() if isinstance(spec, Spec)}
        known = {name: known_part(spec, self.fields[type(spec).__name__]) for name, spec in specs.items()}
        return cast(JobRequest, super().document(job) | known)


class Side:
    """One side's workers. Use as a context manager; on leaving, no process is left."""

    def __init__(self, code: Code, request: Request, work: Path, logs: Path):
        self.code = code
        self._request = request
        self._logs = logs
        self._environment = {**users_environment(request.workload), **code.environment}
        self._layout = layout_of(code)
        self._launcher = SideLauncher(work, logs / "launcher.log", self._environment, self._layout.launcher)
        self._compiles = False
        self._launcher.fields = spec_fields(code, self._layout.spec)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exc: object) -> None:
        self._launcher.stop()

    def prepare(self, threads: int | None = None) -> SideFacts:
        """Prepare what the trials need; what this side's code says of the machine and of itself.

        ``threads``: how many torch uses; None lets this side choose, and describe the choice.

        Raises UserError for a combination that cannot run here, WorkerError where the code fails.
        """
        with self._named():
            if threads is not None:
                self._use_threads(threads)
            job, log = DescribeJob(workload=self._workload), self._logs / "describe.log"
            description = self._ask(job, "describing it", Description, log, DESCRIBE_TIMEOUT_S)
            if threads is None and not description.workload.own_program:
                gated = tuple(chain.from_iterable(self._request.combinations))
                asked = self._request.workload, gated, self._request.threads
                description = choose_threads(self._launcher, description, *asked, self._logs)
                self._use_threads(description.device.torch_threads)
            log = self._logs / "prepare.log"
            # A program runs once to be prepared, which may take as long as a trial.
            limit_s = self._request.trial_timeout_s if description.workload.own_program else DESCRIBE_TIMEOUT_S
            prepared = self._ask(PrepareJob(workload=self._workload), "preparing its trials", Prepared, log, limit_s)
        used = {*chain.from_iterable(self._request.combinations)}
        missing = used - {layer.name for layer in description.layers}
        if missing:
            raise UserError(f"the {self.code.side} has no layer {min(missing)}.", OTHER_COMBINATIONS)
        refuse_unsupported(used, description, OTHER_COMBINATIONS)
        may_preload = description.device.fork_after_compiler_import and not description.workload.own_program
        self._compiles = may_preload and any(layer.compiles for layer in description.layers if layer.name in used)
        self._preload()
        return SideFacts(description, prepared.device_faults)

    def _use_threads(self, threads: int) -> None:
        """Use so many threads in all workers from here on, by a variable that code of any version obeys."""
        self._environment["OMP_NUM_THREADS"] = str(threads)
        self._launcher.stop()

    def renew(self) -> None:
        """Start trials from a new process from here on.

        Those forked from one process share where its libraries lie in memory, which can make all of them faster or
        slower by some percent: that would look like a difference between the sides.
        """
        self._launcher.stop()
        self._preload()

    def _preload(self) -> None:
        if self._compiles:
            self._launcher.preload_compiler(probe=True)

    def run(self, trial: TrialSpec, turns: TurnsOf | None = None) -> TrialResult:
        """What the trial measured; WorkerError when it failed or a layer was not at work.

        ``turns``: when it is timed by turns with another.
        """
        log = self._logs / f"{trial.key}.log"
        what = f"the trial of {combination_name(trial.layers)}"
        with self._named():
            job = TrialJob(workload=self._workload, trial=trial, window=self._request.window, turns=turns)
            result = self._ask(job, what, TrialResult, log, self._request.trial_timeout_s)
            if idle := idle_layers(result.proofs):
                raise WorkerError(f"{what}: a layer was not at work: {'; '.join(idle)}.", f"The log is {log}.")
        return result

    def end_trial(self) -> None:
        """End the trial under way, from another thread than the one that runs it."""
        self._launcher.end_worker()

    @property
    def _workload(self) -> WorkloadSpec:
        """What this side is asked to train, where its code has it."""
        asked = self._request.workload
        return replace(asked, module=self._layout.module_of(asked.module), folder=self.code.place_of(asked.folder))

    def _ask(self, job: Job, what: str, kind: type[T], log: Path, timeout_s: float) -> T:
        found = self._launcher.run(job, kind, log, timeout_s).result
        if isinstance(found, Failure):
            diverged = self.code.side == "head" and found.kind == "not finite"
            raise (DivergedError if diverged else WorkerError)(f"{what} failed: {found.text}.", f"The log is {log}.")
        return found

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put before the message of a UserError on which side it happened."""
        try:
            yield
        except UserError as error:
            raise type(error)(f"{self.code.side} {self.code.name}: {error}") from error


def known_part(spec: Spec, known: Collection[str]) -> dict[str, object]:
    """The document of a specification for code that knows these fields of it.

    A field that is not known yet is left out; UserError when it asks for something else than it does by default. Code
    that knows ``options`` takes any; earlier code knew them by name.
    """
    document = to_json(spec)
    if "options" in known:
        return document
    usual = {field.name: field.default for field in fields(spec)}
    for name, value in document.items():
        if name not in known and value != usual.get(name, MISSING):
            raise UserError(
                f"its m2bench does not know the option {name} yet, which is {value} here.",
                "Name a later base, or leave the option at its default.",
            )
    return {name: value for name, value in document.items() if name in known}


def run_block(number: int, sides: Sequence[str], request: Request, run: RunTrials) -> Block:
    """Block ``number``, from 1: one combination after the other, each on all sides; in the other order every time.

    Trials of a block share their seed, so that the sides play the same episodes.
    """
    step = -1 if number % 2 == 0 else 1
    block: Block = {}
    for combination in request.combinations[::step]:
        key = f"block{number}.{combination_name(combination)}"
        trial = TrialSpec(key, combination, number, request.seed + number - 1, mini_blocks=(number,))
        block |= {(side, combination): result for side, result in run(sides[::step], trial).items()}
    return block


def run_in_turns(sides: Sequence[Side], trial: TrialSpec, turns: int, folder: Path) -> dict[str, TrialResult]:
    """Run the trial on all sides at once, timed by so many ``turns`` of each; what ``Side.run`` says, by side.

    ``folder`` holds the socket that the turns go over.
    """
    names = [side.code.side for side in sides]
    with ThreadPoolExecutor(len(sides)) as pool, Leader(folder) as leader:
        running = {
            name: pool.submit(side.run, trial, TurnsOf(address=leader.address, count=turns, seconds=TURN_S, name=name))
            for name, side in zip(names, sides, strict=True)
        }
        try:
            leader.lead(names, turns, lambda: any(future.done() for future in running.values()))
            # When one of them failed, it tells why: the other only says that its partner has gone.
            (running[leader.holder] if leader.holder else next(as_completed(running.values()))).result()
            return {name: future.result() for name, future in running.items()}
        except BaseException:
            for side in sides:
                side.end_trial()
            raise

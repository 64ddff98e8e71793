"""Measuring blocks: in each, every gated combination of every side once, a fresh process each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from m2bench.processes.client import DESCRIBE_TIMEOUT_S, Launcher
from m2bench.processes.turns import Leader
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Description, Prepared
from m2bench.records.errors import UserError, WorkerError
from m2bench.records.results import Failure, TrialResult
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.run.threads import choose_threads

from .sides import Code, layout_of, spec_fields

TURN_S = 0.1  # of each of two trials that are timed by turns

Document = dict[str, Any]
T = TypeVar("T")
Block = dict[tuple[str, Layers], TrialResult]
"""What the trials of one block measured, by side and combination."""
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


@dataclass(frozen=True)
class Ready:
    """A side that is ready for trials: how its code describes things, and what preparing told."""

    description: Description
    prepared: Prepared


class NotFiniteError(WorkerError):
    """The head's loss or gradient was not a finite number: it learns nothing."""


class Side:
    """One side's workers. Use as a context manager; on leaving, no process is left."""

    def __init__(self, code: Code, request: Request, work: Path, logs: Path):
        self.code = code
        self._request = request
        self._logs = logs
        self._environment = dict(code.environment)
        self._layout = layout_of(code)
        self._launcher = Launcher(work, logs / "launcher.log", self._environment, self._layout.launcher)
        self._compiles = False
        self._fields = spec_fields(code, self._layout.spec)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exc: object) -> None:
        self._launcher.stop()

    def prepare(self, threads: int | None = None) -> Ready:
        """Let this side's code describe machine, device, layers and workload, and prepare what its trials need.

        ``threads``: how many torch uses; None lets this side choose, and describe the choice.

        Raises UserError for a combination that cannot run here, WorkerError where the code fails.
        """
        with self._named():
            if threads is not None:
                self._use_threads(threads)
            log = self._logs / "describe.log"
            description = self._ask("describe", "describing it", Description, log, DESCRIBE_TIMEOUT_S, {})
            if threads is None:
                gated = tuple(chain.from_iterable(self._request.combinations))
                asked = self._request.workload, gated, self._request.threads
                description = choose_threads(self._launcher, description, *asked, self._logs)
                self._use_threads(description.device.torch_threads)
            log = self._logs / "prepare.log"
            prepared = self._ask("prepare", "preparing its trials", Prepared, log, DESCRIBE_TIMEOUT_S, {})
        layers = {layer.name: layer for layer in description.layers}
        used = {name for combination in self._request.combinations for name in combination}
        for name in sorted(used):
            reason = layers[name].unsupported if name in layers else f"the {self.code.side} has no such layer"
            if reason:
                raise UserError(
                    f"the layer {name} cannot run here: {reason}.", "Gate other combinations with --layers."
                )
        may_preload = description.device.fork_after_compiler_import
        self._compiles = may_preload and any(layers[name].compiles for name in used)
        self._preload()
        return Ready(description, prepared)

    def _use_threads(self, threads: int) -> None:
        """In all workers from here on; by the environment, which code of any age follows."""
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

    def run(self, trial: TrialSpec, turns: Document | None = None) -> TrialResult:
        """What the trial measured; WorkerError when it failed or a layer was not at work.

        ``turns``: where it gets its turns from, when it is timed by turns with another.
        """
        log = self._logs / f"{trial.key}.log"
        what = f"the trial of {combination_name(trial.layers)}"
        with self._named():
            request = {"window": self._known(self._request.window), "trial": self._known(trial), "turns": turns}
            result = self._ask("trial", what, TrialResult, log, self._request.trial_timeout_s, request)
            for layer, proof in result.proofs.items():
                if not proof.engaged:
                    raise WorkerError(f"{what}: {layer} was not at work: {proof.reason}.", f"The log is {log}.")
        return result

    def end_trial(self) -> None:
        """End the trial under way, from another thread than the one that runs it."""
        self._launcher.end_worker()

    def _ask(self, job: str, what: str, kind: type[T], log: Path, timeout_s: float, request: Document) -> T:
        workload = self._request.workload
        workload = replace(workload, module=self._layout.module_of(workload.module))
        found = self._launcher.run(job, {"workload": self._known(workload), **request}, kind, log, timeout_s).result
        if isinstance(found, Failure):
            diverged = self.code.side == "head" and found.kind == "not finite"
            raise (NotFiniteError if diverged else WorkerError)(f"{what} failed: {found.text}.", f"The log is {log}.")
        return found

    def _known(self, spec: WorkloadSpec | WindowSpec | TrialSpec) -> Document:
        return known_part(spec, self._fields[type(spec).__name__])

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put before the message of a UserError on which side it happened."""
        try:
            yield
        except UserError as error:
            raise type(error)(f"{self.code.side} {self.code.name}: {error}") from error


def known_part(spec: WorkloadSpec | WindowSpec | TrialSpec, known: Collection[str]) -> Document:
    """The document of a specification for code that knows these fields of it.

    A field that is not known yet is left out; UserError when it asks for something else than it does by default.
    """
    for unknown in (field for field in fields(spec) if field.name not in known):
        value = getattr(spec, unknown.name)
        if value != unknown.default:
            raise UserError(f"it does not know {unknown.name} yet, which is to be {value}.", "Name a later base.")
    return {name: value for name, value in asdict(spec).items() if name in known}


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
        common = {"address": leader.address, "count": turns, "seconds": TURN_S}
        running = {
            name: pool.submit(side.run, trial, common | {"name": name}) for name, side in zip(names, sides, strict=True)
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

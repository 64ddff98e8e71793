"""Measuring blocks: in each, every gated combination of every side once, a fresh process each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from m2bench.errors import UserError, WorkerError
from m2bench.runner import DESCRIBE_TIMEOUT_S, Launcher, describe
from m2bench.spec import Layers, TrialSpec, WindowSpec, WorkloadSpec, combination_name

from .sides import Code

Document = dict[str, Any]
Block = dict[tuple[str, Layers], Document]
"""What the trials of one block measured, by side and combination."""
RunTrial = Callable[[str, TrialSpec], Document]
"""Runs one trial of the named side; what it measured."""


@dataclass(frozen=True)
class Request:
    """What is measured of every side alike."""

    workload: WorkloadSpec
    window: WindowSpec
    combinations: tuple[Layers, ...]
    seed: int
    trial_timeout_s: float


class Side:
    """One side's workers. Use as a context manager; on leaving, no process is left."""

    def __init__(self, code: Code, request: Request, work: Path, logs: Path):
        self.code = code
        self._request = request
        self._logs = logs
        self._launcher = Launcher(work, logs / "launcher.log", code.environment)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exc: object) -> None:
        self._launcher.stop()

    def prepare(self) -> Document:
        """Machine, device, layers and workload as this side's code describes them; what its trials need is prepared.

        Raises UserError for a combination that cannot run here, WorkerError where the code fails.
        """
        with self._named():
            description = describe(self._launcher, self._request.workload, self._logs)
            self._ask("prepare", self._logs / "prepare.log", DESCRIBE_TIMEOUT_S)
        layers = {layer["name"]: layer for layer in description["layers"]}
        used = {name for combination in self._request.combinations for name in combination}
        for name in sorted(used):
            reason = layers[name]["unsupported"] if name in layers else f"the {self.code.side} has no such layer"
            if reason:
                raise UserError(
                    f"the layer {name} cannot run here: {reason}.", "Gate other combinations with --layers."
                )
        if any(layers[name]["compiles"] for name in used) and description["device"].get("fork_after_compiler_import"):
            self._launcher.preload_compiler(probe=True)
        return description

    def run(self, trial: TrialSpec) -> Document:
        """What the trial measured; WorkerError when it failed or a layer was not at work."""
        log = self._logs / f"{trial.key}.log"
        with self._named():
            return self._ask("trial", log, self._request.trial_timeout_s, asdict(trial))

    def _ask(self, job: str, log: Path, timeout_s: float, trial: Document | None = None) -> Document:
        request = {"workload": asdict(self._request.workload), "window": asdict(self._request.window), "trial": trial}
        outcome = self._launcher.run(job, request, log, timeout_s)
        what = job if trial is None else f"{job} of {combination_name(tuple(trial['layers']))}"
        if "failure" in outcome:
            raise WorkerError(f"{what} failed: {outcome['failure']}.", f"The log is {log}.")
        result: Document = outcome["result"]
        for layer, proof in result.get("proofs", {}).items():
            if not proof["engaged"]:
                raise WorkerError(f"{what}: {layer} was not at work: {proof['reason']}.", f"The log is {log}.")
        return result

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put before the message of a UserError on which side it happened."""
        try:
            yield
        except UserError as error:
            raise type(error)(f"{self.code.side} {self.code.name}: {error}") from error


def run_block(number: int, sides: Sequence[str], request: Request, run: RunTrial) -> Block:
    """Block ``number``, from 1: the sides of a combination one after the other, in the other order every time.

    Trials of a block share their seed, so that the sides play the same episodes.
    """
    backwards = number % 2 == 0
    block: Block = {}
    for combination in request.combinations[:: -1 if backwards else 1]:
        for side in sides[:: -1 if backwards else 1]:
            key = f"block{number}.{side}.{combination_name(combination)}"
            trial = TrialSpec(key, combination, number, request.seed + number - 1, mini_blocks=(number,))
            block[side, combination] = run(side, trial)
    return block

"""Both sides of a check made ready for trials, and nothing left of them in the end but their logs."""

from __future__ import annotations

import math
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from m2bench.errors import UserError
from m2bench.options.known_systems import DOORS
from m2bench.records.combinations import Layers
from m2bench.records.results import TrialResult
from m2bench.records.spec import TrialSpec, WorkloadSpec
from m2bench.run.describe import show_remarks_on_data
from m2bench.store.folders import locked, make_folder

from .facts import SideFacts
from .layouts import has_module, layout_of, refuse_foreign_code, refuse_shared_copy
from .measure import TURN_S, Request, Side, run_block, run_in_turns
from .pairs import Block
from .repository import WORK_PREFIX, git_folder, remove_leftovers
from .sides import Code, base_code, head_code, loose_code


@dataclass(frozen=True)
class Sides:
    """The sides under test by their names, the head last, and what each says of itself.

    ``work``: a folder for what passes between them. ``know_turns``: whether their code knows how to be timed by turns.
    """

    by_name: dict[str, Side]
    facts: dict[str, SideFacts]
    work: Path
    know_turns: bool

    @property
    def head(self) -> Code:
        return self.by_name["head"].code

    @property
    def base(self) -> Code | None:
        return self.by_name["base"].code if "base" in self.by_name else None

    def run_block(self, number: int, request: Request) -> Block:
        """Measure block ``number``, from 1, by processes of its own; the first has those that prepared."""
        turns = math.ceil(request.window.timed_most_s / TURN_S)
        if number > 1:
            for side in self.by_name.values():
                side.renew()

        def run(names: Sequence[str], trial: TrialSpec) -> dict[str, TrialResult]:
            if self.takes_turns(trial.layers):
                return run_in_turns([self.by_name[name] for name in names], trial, turns, self.work)
            return {name: self.by_name[name].run(trial) for name in names}

        return run_block(number, tuple(self.by_name), request, run)

    def takes_turns(self, layers: Layers) -> bool:
        """Whether the combination is timed by turns.

        Not where processes of its own go on while it waits, since what these do would cost it nothing.
        """
        head = self.facts["head"]
        return self.know_turns and not head.works_ahead(layers)


@contextmanager
def prepared(
    repo: Path | None, commit: str | None, request: Request, folder: Path, console: Console
) -> Iterator[Sides]:
    """Both sides, or the head alone, ready for trials; in the end nothing is left but the logs in ``folder``.

    Without a repository the head is what lies in the working directory.
    """
    logs = {side: folder / "logs" / side for side in (["base"] if commit else []) + ["head"]}
    for path in logs.values():
        make_folder(path)
    (folder / ".gitignore").write_text("*\n")  # what a check writes is no part of the code that it checks
    with ExitStack() as stack:
        stack.enter_context(_ended_in_order())
        if repo is not None:
            stack.enter_context(_alone(repo))
            remove_leftovers(repo)
        work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX))
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        if repo is None:
            codes = [loose_code(Path.cwd())]
        else:
            with console.status("installing both sides"):
                codes = _codes(repo, commit, work, folder / "logs", stack, request.workload)
        sides, facts = {}, {}
        for code in codes:
            run_in = work / code.side / "work"
            run_in.mkdir(parents=True)
            sides[code.side] = stack.enter_context(Side(code, request, run_in, logs[code.side]))
        threads = None
        for name, side in reversed(sides.items()):  # the head's code chooses the number of threads of both
            with console.status(f"preparing the {name}"):
                facts[name] = side.prepare(threads)
            if not facts["head"].description.workload.own_program:
                threads = facts["head"].device.torch_threads
        show_remarks_on_data(facts["head"].description, console)
        # Nobody knows which processes of a user's trainer go on while it waits for its turn.
        may_take_turns = len(codes) > 1 and request.workload.module not in DOORS
        know_turns = may_take_turns and all(has_module(code, layout_of(code).turns) for code in codes)
        yield Sides(sides, facts, work, know_turns)


def _codes(
    repo: Path, commit: str | None, work: Path, logs: Path, stack: ExitStack, workload: WorkloadSpec
) -> list[Code]:
    """The code of the base, where there is one, and of the head, each found to be its own."""
    codes = [stack.enter_context(base_code(repo, commit, _made(work / "base"), logs))] if commit is not None else []
    codes.append(stack.enter_context(head_code(repo, _made(work / "head"), logs)))
    for code in codes:
        if workload.module in DOORS:
            refuse_shared_copy(code, workload)
        else:
            refuse_foreign_code(code, layout_of(code).module_of(workload.module), repo)
    return codes


@contextmanager
def _alone(repo: Path) -> Iterator[None]:
    """One gate at a time in a repository: two would disturb each other's figures."""
    lock = git_folder(repo) / "m2bench-check.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(repo, lock))
        except UserError as error:
            raise UserError(f"another m2bench check is running in {repo}.", "Wait for it to end.") from error
        yield


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A request to end is answered as Ctrl-C is: by tidying up first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)

"""The gate's job: get the sides ready, measure block by block until the verdict is clear, and put it in a document."""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from m2bench.machine.checks import show_remarks_on_market
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Description
from m2bench.records.errors import UserError
from m2bench.records.folders import locked, make_folder
from m2bench.records.results import TrialResult
from m2bench.records.spec import TrialSpec
from m2bench.records.wrong_device import refuse_wrong_device
from m2bench.statistics.sequential import LEAST_BLOCKS, looks_until

from .measure import TURN_S, Block, NotFiniteError, Ready, Request, Side, run_block, run_in_turns
from .references import (
    Reference,
    counted_by,
    differing,
    find,
    history_entry,
    machine_identity,
    now,
    record,
    workload_identity,
)
from .sides import (
    WORK_PREFIX,
    Code,
    base_code,
    find_commit,
    git_folder,
    has_module,
    has_repository,
    head_code,
    layout_of,
    loose_code,
    refuse_foreign_code,
    remove_leftovers,
    repository,
)
from .verdict import Judged, Question, Verdict, decide, metrics_of, sentence

FORMAT = "m2bench check"
SCHEMA = 2

Document = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What the user asks of a check. ``command``: the words that ask for it again, without the base."""

    request: Request
    delta: float
    alpha: float
    max_blocks: int
    base: str | None = None
    against: str | None = None
    floors: dict[str, float] = field(default_factory=dict)
    command: tuple[str, ...] = ("m2bench", "check")


@dataclass(frozen=True)
class Sides:
    """The sides under test by their names, the head last, and what each told when it was made ready.

    ``work``: a folder for what passes between them. ``know_turns``: whether their code knows how to be timed by turns.
    """

    by_name: dict[str, Side]
    ready: dict[str, Ready]
    work: Path
    know_turns: bool

    @property
    def head(self) -> Code:
        return self.by_name["head"].code

    @property
    def description(self) -> Description:
        """How the head's code describes the machine, its layers and the rest."""
        return self.ready["head"].description

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

        Not where processes of its own prepare episodes while it waits, which would come to it as a gift.
        """
        works_ahead = any(layer.part == "feed" for layer in self.description.layers if layer.name in layers)
        return self.know_turns and not works_ahead


def check(asked: Asked, folder: Path, console: Console) -> Document:
    """Run the gate and return its document. Raises UserError for what cannot be measured.

    Floors alone need no git repository.
    """
    began = time.monotonic()
    needs_repository = asked.base is not None or asked.against is not None
    repo = repository(Path.cwd()) if needs_repository or has_repository(Path.cwd()) else None
    reference = find(repo, asked.against) if repo is not None and asked.against is not None else None
    commit = find_commit(repo, asked.base) if repo is not None and asked.base is not None else None
    request = asked.request
    if reference is not None and request.threads is None:
        request = replace(request, threads=reference.machine.get("torch_threads"))  # its speeds are comparable to these
    with _prepared(repo, commit, request, folder, console) as sides:
        question = _question(asked, sides, reference)
        blocks, verdict = _measure(question, asked.request, sides, console)
    return _document(asked, question, verdict, sides, blocks, time.monotonic() - began)


def _changed_arithmetic(ready: dict[str, Ready]) -> str | None:
    """What the head's plain trainer gets wrong in single precision where the base's does not.

    Raises UserError where it is the device that computes wrongly: the base finds so as well, or does not look.
    """
    head = ready["head"]
    faults = head.prepared.device_faults or ()
    base_is_right = "base" in ready and ready["base"].prepared.device_faults == ()
    if not base_is_right:
        refuse_wrong_device(head.description.device, faults)
    if not faults:
        return None
    return f"the head's plain trainer in single precision is wrong where the base's is right: {'; '.join(faults)}"


def save(name: str, request: Request, blocks: int, folder: Path, console: Console) -> Reference:
    """Measure the working tree alone over so many blocks, as a reference that is not written yet."""
    repo = repository(Path.cwd())
    with _prepared(repo, None, request, folder, console) as sides, _progress(blocks, console) as step:
        _changed_arithmetic(sides.ready)  # refuses a device that computes wrongly
        measured = [step(sides.run_block(number, request)) for number in range(1, blocks + 1)]
    description = sides.description
    reference = Reference(
        name=name,
        created=now(),
        commit=sides.head.name,
        counted_by=counted_by(description),
        machine=machine_identity(description),
        workload=workload_identity(asdict(request.workload), description),
        combinations=record(measured, request.combinations),
    )
    return replace(reference, history=[history_entry("saved", reference)])


@contextmanager
def _prepared(
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
                codes = _codes(repo, commit, work, folder / "logs", stack, request.workload.module)
        sides, ready = {}, {}
        for code in codes:
            run_in = work / code.side / "work"
            run_in.mkdir(parents=True)
            sides[code.side] = stack.enter_context(Side(code, request, run_in, logs[code.side]))
        threads = None
        for name, side in reversed(sides.items()):  # the head's code chooses the number of threads of both
            with console.status(f"preparing the {name}"):
                ready[name] = side.prepare(threads)
            threads = ready["head"].description.device.torch_threads
        show_remarks_on_market(ready["head"].description, console)
        know_turns = len(codes) > 1 and all(has_module(code, layout_of(code).turns) for code in codes)
        yield Sides(sides, ready, work, know_turns)


def _codes(repo: Path, commit: str | None, work: Path, logs: Path, stack: ExitStack, module: str) -> list[Code]:
    """The code of the base, where there is one, and of the head, each found to be its own."""
    codes = [stack.enter_context(base_code(repo, commit, _made(work / "base"), logs))] if commit is not None else []
    codes.append(stack.enter_context(head_code(repo, _made(work / "head"), logs)))
    for code in codes:
        refuse_foreign_code(code, layout_of(code).module_of(module), repo)
    return codes


@contextmanager
def _alone(repo: Path) -> Iterator[None]:
    """One gate at a time in a repository: two would disturb each other's figures."""
    lock = git_folder(repo) / "m2bench-check.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(repo, lock))
        except UserError as error:
            raise UserError(f"another m2bench check is at work in {repo}.", "Wait for it to end.") from error
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


def _question(asked: Asked, sides: Sides, reference: Reference | None) -> Question:
    question = Question(
        combinations=asked.request.combinations,
        in_turns=tuple(c for c in asked.request.combinations if sides.takes_turns(c)),
        delta=asked.delta,
        alpha=asked.alpha,
        max_blocks=asked.max_blocks,
        base=sides.base.name if sides.base else None,
        floors=asked.floors,
    )
    if reference is None:
        return question
    description = sides.description
    other_work = differing(reference.workload, workload_identity(asdict(asked.request.workload), description))
    if other_work:
        reason = f"the reference {reference.name} is of another workload ({'; '.join(other_work)})"
        return replace(question, not_comparable=(reason,))
    machine = machine_identity(description)
    others = differing(reference.machine, machine)
    known = [combination_name(c) for c in reference.layers]
    reasons = [
        f"{combination_name(c)}: the reference {reference.name} has {', '.join(known)} alone"
        for c in asked.request.combinations
        if combination_name(c) not in known
    ]
    if others:
        reasons.append(
            f"speeds: the reference {reference.name} is of another machine ({'; '.join(others)}); save one here, or "
            "state floors with --min speedup=..."
        )
    return replace(
        question,
        reference=reference,
        not_comparable=tuple(reasons),
        same_machine=not others,
        same_counting=reference.counted_by == counted_by(description)
        and all(reference.machine[key] == machine[key] for key in ("torch", "device")),
    )


def _measure(question: Question, request: Request, sides: Sides, console: Console) -> tuple[list[Block], Verdict]:
    """Blocks until a look decides; a few where counts alone can be compared, none where nothing can."""
    blocks: list[Block] = []
    changed = _changed_arithmetic(sides.ready)
    if changed is not None:
        return blocks, replace(decide(question, blocks, final=True), kind="changed", changes=[changed])
    gates_speed = bool(metrics_of(question, blocks))
    if not gates_speed and question.reference is None:
        return blocks, decide(question, blocks, final=True)
    looks = looks_until(question.max_blocks) if gates_speed else (LEAST_BLOCKS,)
    with _progress(question.max_blocks, console) as step:
        for look in looks:
            try:
                while len(blocks) < look:
                    blocks.append(step(sides.run_block(len(blocks) + 1, request)))
            except NotFiniteError as error:
                enough = blocks if len(blocks) >= LEAST_BLOCKS else []  # fewer have no spread to judge by
                return enough, replace(decide(question, enough, final=True), kind="changed", changes=[str(error)])
            verdict = decide(question, blocks, final=look == looks[-1])
            if verdict.decided:
                break
    return blocks, verdict


@contextmanager
def _progress(blocks: int, console: Console) -> Iterator[Callable[[Block], Block]]:
    """Shows how many of at most ``blocks`` are done; drawn between them alone, since drawing takes the trials' CPU."""
    columns = (TextColumn("blocks, at most"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, auto_refresh=False) as progress:
        task = progress.add_task("", total=blocks)

        def step(block: Block) -> Block:
            progress.update(task, advance=1, refresh=True)
            return block

        yield step


def _document(
    asked: Asked, question: Question, verdict: Verdict, sides: Sides, blocks: list[Block], seconds: float
) -> Document:
    description = sides.description
    measured = record(blocks, question.combinations) if blocks else {}
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "verdict": verdict.kind,
        "exit_code": verdict.exit_code,
        "sentence": sentence(verdict, question),
        "reproduce": _reproduce(asked, sides),
        "date": now(),
        "seconds": round(seconds, 1),
        "blocks": len(blocks),
        "delta": question.delta,
        "alpha": question.alpha,
        "max_blocks": question.max_blocks,
        "head": _code(sides.head),
        "base": sides.base and _code(sides.base),
        "reference": asked.against,
        "counted_by": counted_by(description),
        "machine": machine_identity(description),
        "workload": workload_identity(asdict(asked.request.workload), description),
        "metrics": [_metric(found) for found in verdict.judged],
        "counts": [
            {**asdict(change), "combination": combination_name(change.combination), "sentence": change.sentence}
            for change in verdict.counts
        ],
        "changes": verdict.changes,
        "phases": {combination_name(c): asdict(change) for c, change in verdict.phases.items()},
        "not_comparable": verdict.not_comparable,
        "unchecked": verdict.unchecked,
        "notes": verdict.notes,
        "measured": {name: asdict(recorded) for name, recorded in measured.items()},
    }


def _metric(found: Judged) -> Document:
    metric = found.metric
    return {
        "name": metric.name,
        "combination": combination_name(metric.combination),
        "against": metric.against,
        "state": found.state,
        "value": found.value,
        "bounds": [found.lower, found.upper],
        "sd": found.sd,
        "logs": metric.samples[0].logs,
        "text": found.text,
    }


def _code(code: Code) -> Document:
    return {"commit": code.commit, "dirty": code.dirty, "name": code.name}


def _reproduce(asked: Asked, sides: Sides) -> str:
    """The commands that ask the same again, whatever the branches have become since."""
    base = ["--base", sides.base.commit] if sides.base else []
    return _checkout(sides.head) + " ".join([*asked.command, *base])


def _checkout(head: Code) -> str:
    """What brings a working tree to this commit; GitHub checks out merges that must be fetched."""
    if head.dirty or not head.commit:
        return ""
    fetch = f"git fetch origin {head.commit} && " if os.environ.get("GITHUB_SHA") == head.commit else ""
    return f"{fetch}git checkout {head.commit} && "

"""The command ``train``: one combination, its learning curve and a checkpoint."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError
from m2bench.processes.client import Launcher, succeeded
from m2bench.processes.job_requests import EvaluateJob, TrainJob
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Description
from m2bench.records.documents import to_json
from m2bench.records.inspected import Evaluated, Training, TrainingPoint
from m2bench.records.refusals import refuse_unsupported, refuse_wrong_device
from m2bench.records.results import idle_layers
from m2bench.records.spec import WorkloadSpec
from m2bench.run.describe import describe, prepare, show_remarks
from m2bench.run.threads import choose_threads
from m2bench.store.files import write_file
from m2bench.store.folders import make_folder, refuse_used, removed_if_refused
from m2bench.text.figures import NOTHING
from m2bench.text.speed import Speed

TIMEOUT_S = 7 * 86_400.0
EVALUATE_TIMEOUT_S = 3600.0


def train_combination(
    spec: WorkloadSpec, layers: Layers, units: int, seed: int, folder: Path, console: Console
) -> None:
    """Train, print the learning curve as it grows, and write checkpoint.pt and train.json to ``folder``.

    Raises UserError when a layer cannot run here or training fails.
    """
    checkpoint, log = folder / "checkpoint.pt", folder / "train.log"
    refuse_used(folder, "Choose another folder with --out.")
    with ExitStack() as stack:
        with removed_if_refused(folder):
            make_folder(folder)
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="m2bench-")))
            launcher = stack.enter_context(Launcher(work, log))
            description = _examined(launcher, spec, layers, folder, console)
        good, speed = description.workload.good_return, Speed.of(description.system)
        console.print(f"Training {combination_name(layers)} on {description.device.device}")
        console.print(_header(speed, good))
        job = TrainJob(workload=spec, layers=layers, seed=seed, episodes=units, checkpoint=checkpoint.resolve())
        outcome = launcher.run(
            job, Training, log, TIMEOUT_S, lambda point: console.print(_line(point, speed, good))
        ).result
    trained = succeeded(outcome, "training failed", log)
    document = {**to_json(trained), "good_return": good, "workload": to_json(spec)}
    write_file(folder / "train.json", json.dumps(document, indent=1) + "\n")
    idle = idle_layers(trained.proofs)
    if idle:
        raise UserError(f"a layer was not at work: {'; '.join(idle)}.")
    console.print(f"Checkpoint: {checkpoint}", soft_wrap=True)


def evaluate_checkpoint(spec: WorkloadSpec, checkpoint: Path, console: Console) -> None:
    """Print what a policy that was trained before returns on the held-out part of a market.

    Raises UserError where the file holds none.
    """
    with tempfile.TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        log = work / "evaluate.log"
        with Launcher(work, log) as launcher:
            description = describe(launcher, spec, work)
            show_remarks(description, console)
            job = EvaluateJob(workload=spec, checkpoint=checkpoint.resolve())
            outcome = launcher.run(job, Evaluated, log, EVALUATE_TIMEOUT_S).result
            found = succeeded(outcome, f"{checkpoint} could not be evaluated", log).eval_return
    good = description.workload.good_return
    share = "" if good is None else f", {found / good:.0%} of the known good policy's"
    market = description.workload.market["name"]
    console.print(f"{found:.2f} % per held-out {description.system.unit.one}{share}, on {market}.")


def _examined(launcher: Launcher, spec: WorkloadSpec, layers: Layers, folder: Path, console: Console) -> Description:
    """The machine with its number of threads. Raises UserError for a layer that cannot run, or a wrong device."""
    description = describe(launcher, spec, folder)
    refuse_unsupported(layers, description, "Leave it out of --with.")
    show_remarks(description, console)
    description = choose_threads(launcher, description, spec, layers, None, folder)
    with console.status("checking in double precision whether this device computes correctly"):
        refuse_wrong_device(description.device, prepare(launcher, spec, folder).device_faults or ())
    return description


def _header(speed: Speed, good_return: float | None) -> str:
    share = "" if good_return is None else f"{'of good policy':>16}"
    return f"{speed.unit.many:>9}{'seconds':>9}{speed.heading:>14}{'training %':>12}{'held-out %':>12}{share}"


def _line(point: TrainingPoint, speed: Speed, good_return: float | None) -> str:
    told = point.eval_return
    level = speed.value(60 * point.episodes / point.train_s) if point.train_s else None
    line = f"{point.episodes:>9,.0f}{point.train_s:>9.1f}{_shown(level, ',.0f'):>14}"
    line += f"{_shown(point.training_return, '.2f'):>12}{_shown(told, '.2f'):>12}"
    share = None if told is None or good_return is None else told / good_return
    return line if good_return is None else f"{line}{_shown(share, '.0%'):>16}"


def _shown(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)

"""The command ``train``: one combination, its learning curve and a checkpoint."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from m2bench.processes.client import Launcher
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.documents import Document, read
from m2bench.records.errors import UserError
from m2bench.records.folders import make_folder, refuse_used, removed_if_refused
from m2bench.records.results import Failure, Proof, idle_layers
from m2bench.records.spec import WorkloadSpec
from m2bench.records.unsupported import refuse_unsupported
from m2bench.records.wrong_device import refuse_wrong_device
from m2bench.run.describe import describe, prepare, show_remarks
from m2bench.run.threads import choose_threads
from m2bench.text.speed import Speed

TIMEOUT_S = 7 * 86_400.0


def run(spec: WorkloadSpec, layers: Layers, episodes: int, seed: int, folder: Path, console: Console) -> None:
    """Train, print the learning curve as it grows, and write checkpoint.pt and train.json to ``folder``.

    Raises UserError when a layer cannot run here or training fails.
    """
    checkpoint = folder / "checkpoint.pt"
    refuse_used(folder, "Choose another folder with --out.")
    with ExitStack() as stack:
        with removed_if_refused(folder):
            make_folder(folder)
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="m2bench-")))
            launcher = stack.enter_context(Launcher(work, folder / "train.log"))
            description = describe(launcher, spec, folder)
            refuse_unsupported(layers, description, "Leave it out of --with.")
            show_remarks(description, console)
            description = choose_threads(launcher, description, spec, layers, None, folder)
            with console.status("checking in double precision whether this device computes correctly"):
                refuse_wrong_device(description.device, prepare(launcher, spec, folder).device_faults or ())
        good = description.workload.good_return
        console.print(f"Training {combination_name(layers)} on {description.device.device}", highlight=False)
        speed = Speed.of(description.system)
        console.print(_header(good, speed), highlight=False)
        request = {
            "workload": spec.to_json(),
            "layers": layers,
            "episodes": episodes,
            "seed": seed,
            "checkpoint": str(checkpoint.resolve()),
        }
        outcome = launcher.run(
            "train",
            request,
            Document,
            folder / "train.log",
            TIMEOUT_S,
            on_progress=lambda point: console.print(_line(point, good, speed), highlight=False),
        ).result
    if isinstance(outcome, Failure):
        raise UserError(f"training failed: {outcome.text}.", f"The log is {folder / 'train.log'}.")
    result = {**outcome, "good_return": good, "workload": spec.to_json()}
    (folder / "train.json").write_text(json.dumps(result, indent=1) + "\n")
    idle = idle_layers(read(dict[str, Proof], result["proofs"]))
    if idle:
        raise UserError(f"a layer was not at work: {'; '.join(idle)}.")
    console.print(f"Checkpoint: {checkpoint}", highlight=False, soft_wrap=True)


def _header(good_return: float | None, speed: Speed) -> str:
    share = "" if good_return is None else f"{'of good policy':>16}"
    return f"{speed.unit.many:>9}{'seconds':>9}{speed.heading:>14}{'training %':>12}{'held-out %':>12}{share}"


def _line(point: dict[str, Any], good_return: float | None, speed: Speed) -> str:
    level = speed.value(60 * point["episodes"] / point["train_s"]) if point["train_s"] else None
    training = point["training_return"]
    return (
        f"{point['episodes']:>9,}{point['train_s']:>9.1f}"
        f"{'-' if level is None else format(level, ',.0f'):>14}"
        f"{'-' if training is None else format(training, '.2f'):>12}{point['eval_return']:>12.2f}"
        + ("" if good_return is None else f"{point['eval_return'] / good_return:>16.0%}")
    )

"""The command ``forward``: what a forward pass takes at each batch size, and where one way overtakes another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from m2bench.findings.noise import warnings_of
from m2bench.processes.client import Launcher, succeeded
from m2bench.processes.job_requests import ForwardJob
from m2bench.records.documents import called, to_json
from m2bench.records.inspected import PassTime, TimedPasses
from m2bench.records.refusals import refuse_wrong_device
from m2bench.records.results import Conditions
from m2bench.records.spec import WorkloadSpec
from m2bench.run.describe import describe, prepare, show_remarks
from m2bench.run.trials import watched
from m2bench.store.files import refuse_unwritten, write_file
from m2bench.store.folders import make_folder, refuse_used, removed_if_refused
from m2bench.text.tables import draw_table

from .forward_chart import draw_passes
from .pass_times import compare_variants, forward_table

TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Compared:
    """One way against another: who leads at each batch size, and between which sizes that changes."""

    name: str = field(metadata=called("of"))
    against: str
    leads: Mapping[int, str]
    crossings: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class ForwardFindings:
    """What was found, as it is written to forward.json; ``devices`` and ``conditions`` are by device."""

    passes: int
    devices: Mapping[str, tuple[PassTime, ...]]
    comparisons: tuple[Compared, ...]
    sentences: tuple[str, ...]
    conditions: Mapping[str, Conditions]
    warnings: tuple[str, ...]
    chart: str


def time_passes(spec: WorkloadSpec, sizes: Sequence[int], passes: int, folder: Path, console: Console) -> None:
    """Time forward passes on the device that is named, or, for ``auto``, on every device here.

    Prints tables, and writes forward.json and forward.png to ``folder``. Raises UserError when nothing can be timed or
    a file cannot be written, which costs nothing of what is printed.
    """
    refuse_used(folder, "Choose another folder with --out.")
    with removed_if_refused(folder):
        make_folder(folder)
        results = _time_devices(spec, sizes, passes, folder, console)
    devices = {device: result.timed for device, (result, _) in results.items()}
    conditions = {device: meanwhile for device, (_, meanwhile) in results.items()}
    comparisons, warnings = compare_variants(devices), warnings_of(list(conditions.values()), "process")
    sentences = tuple(comparison.sentence() for comparison in comparisons)
    for name, timed in devices.items():
        draw_table(forward_table(name, timed), console)
    for warning in warnings:
        console.print(f"Warning: {warning}.")
    for sentence in sentences:
        console.print(f"- {sentence}")
    chart = draw_passes(folder / "forward.png", devices, comparisons)
    compared = tuple(Compared(each.name, each.other, each.leads, each.crossings) for each in comparisons)
    found = ForwardFindings(passes, devices, compared, sentences, conditions, tuple(warnings), str(chart))
    write_file(folder / "forward.json", json.dumps(to_json(found), indent=1) + "\n")
    console.print(f"Chart: {chart}", soft_wrap=True)
    console.print(f"All figures: {folder / 'forward.json'}", soft_wrap=True)
    refuse_unwritten({"chart": chart})


def _time_devices(
    spec: WorkloadSpec, sizes: Sequence[int], passes: int, folder: Path, console: Console
) -> dict[str, tuple[TimedPasses, Conditions]]:
    """By device, each in a process of its own: what was timed, and the conditions meanwhile."""
    found = {}
    log = folder / "forward.log"
    with TemporaryDirectory(prefix="m2bench-") as work, Launcher(Path(work), log) as launcher:
        description = describe(launcher, spec, folder)
        show_remarks(description, console)
        here = description.device
        names = here.all_devices if spec.device == "auto" else (here.device,)
        for name in names:
            on_device = replace(spec, device=name)
            with console.status(f"checking in double precision whether {name} computes correctly"):
                prepared = prepare(launcher, on_device, folder)
                refuse_wrong_device(replace(here, device=name), prepared.device_faults or ())
            job = ForwardJob(workload=on_device, sizes=tuple(sizes), passes=passes)
            with console.status(f"forward passes on {name}"):
                outcome = watched(partial(launcher.run, job, TimedPasses, log, TIMEOUT_S))
            found[name] = succeeded(outcome.result, f"forward passes on {name} failed", log), outcome.conditions
    return found

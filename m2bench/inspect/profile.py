"""The command ``profile``: two combinations side by side, and why one is faster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from m2bench.errors import UserError, WorkerError
from m2bench.findings.noise import warnings_of
from m2bench.machine.checks import warnings_of_machine
from m2bench.processes.client import Launcher, succeeded
from m2bench.processes.environment import users_environment
from m2bench.processes.job_requests import ProfileJob, UpdatesJob
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Device, Unit
from m2bench.records.documents import to_json
from m2bench.records.inspected import Looks, Pictured, Updated, Written
from m2bench.records.refusals import refuse_unsupported, refuse_wrong_device
from m2bench.records.results import Conditions, Failure, idle_layers
from m2bench.records.spec import WorkloadSpec
from m2bench.run.describe import describe, prepare, show_remarks_on_data
from m2bench.run.threads import choose_threads
from m2bench.run.trials import watched
from m2bench.store.files import refuse_unwritten, write_file
from m2bench.store.folders import make_folder, refuse_used, removed_if_refused
from m2bench.summary.subject import MeasuredOn
from m2bench.text.tables import draw_table

from .device_log import NoLog, read_device_log
from .explanation import explain
from .predictions import predictions
from .profile_records import ProfiledSide, ProfileFindings, update_of
from .profile_tables import device_log_table, tables_of
from .timeline import draw_timeline

TIMEOUT_S = 1800.0
PAIRS = 4  # of processes, one of each side; every second one in the other order
SIDES = ("before", "after")
CAPTURE = "update"


@dataclass(frozen=True)
class Pair:
    """The two combinations to compare, in so many ``pairs`` of processes, each of which looks at its own undisturbed
    for so many seconds.
    """

    before: Layers
    after: Layers
    seconds: float = 3.0
    pairs: int = PAIRS

    def processes(self) -> Iterator[tuple[str, Layers]]:
        """The sides in the order in which they are run, each with its layers."""
        layers = {"before": self.before, "after": self.after}
        for number in range(self.pairs):
            for side in SIDES[:: 1 if number % 2 == 0 else -1]:
                yield side, layers[side]


def profile_pair(
    spec: WorkloadSpec, pair: Pair, seed: int, folder: Path, capture: Path | None, console: Console
) -> None:
    """Profile both sides in processes of their own; print what that shows, and write profile.json and the traces.

    ``capture``: where a Metal capture of one update of the second side goes; None: there is none. Raises UserError when
    a layer cannot run here or a file cannot be written, WorkerError when a side fails.
    """
    refuse_used(folder, "Choose another folder with --out.")
    with removed_if_refused(folder), TemporaryDirectory(prefix="m2bench-") as work:
        make_folder(folder / "traces")
        with Launcher(Path(work), folder / "profile.log", users_environment(spec)) as launcher:
            with console.status("examining this machine"):
                description = describe(launcher, spec, folder)
                show_remarks_on_data(description, console)
                refuse_unsupported({*pair.before, *pair.after}, description, "Leave it out.")
                description = choose_threads(launcher, description, spec, (*pair.before, *pair.after), None, folder)
                if capture is not None:
                    _require_metal(description.device)
                prepared = prepare(launcher, spec, folder)
                refuse_wrong_device(description.device, prepared.device_faults or ())
            sides = _profile(launcher, spec, pair, seed, folder, console)
        device, (size, unit) = description.device, update_of(sides["before"], description.system.unit)
        before, after = (
            _with_device_log(sides[name].times(size), size, device, spec, seed, Path(work), folder / name)
            for name in SIDES
        )
        captured = None if capture is None else _capture(spec, pair.after, seed, Path(work), folder, capture)
    conditions = [*before.conditions, *after.conditions]
    found = ProfileFindings(
        before=before,
        after=after,
        warnings=(*warnings_of_machine(description.machine, device), *warnings_of(conditions, "process")),
        predictions=predictions(before, after),
        sentences=tuple(explain(before, after, prepared.peak_flops, unit)),
        peak_flops=prepared.peak_flops,
        machine=MeasuredOn(description.machine, description.device),
        workload=spec,
        metal_capture=captured,
    )
    publish(found, unit, folder, console)


def _with_device_log(
    side: ProfiledSide, size: int, device: Device, spec: WorkloadSpec, seed: int, work: Path, log: Path
) -> ProfiledSide:
    """The side with the device's own log of so many units; unchanged where the device writes none."""
    environment = device.log_environment
    if environment is None:
        return side
    return replace(side, device_log=read_device_log(environment, spec, side.layers, seed, size, work, log))


def _require_metal(device: Device) -> None:
    if device.log_environment is None:
        raise UserError(
            f"--metal-capture needs an Apple GPU, and this profile would run on {device.device}.", "Leave it out."
        )


def _capture(spec: WorkloadSpec, layers: Layers, seed: int, work: Path, folder: Path, capture: Path) -> str:
    """Write one update as a Metal capture; its path, or why there is none.

    torch names the file itself, "0000-<name>.gputrace" in the worker's own folder (MPSProfiler.mm).
    """
    job = UpdatesJob(workload=spec, layers=layers, seed=seed, updates=1, capture=CAPTURE)
    log = folder / "capture.log"
    with Launcher(work, log, {**users_environment(spec), "MTL_CAPTURE_ENABLED": "1"}) as launcher:
        outcome = launcher.run(job, Updated, log, TIMEOUT_S).result
    found = sorted(work.glob(f"*{CAPTURE}.gputrace"))
    if isinstance(outcome, Failure) or not found:
        why = outcome.text if isinstance(outcome, Failure) else "torch left no file"
        return f"not available: {why} (log: {log}; captures need Xcode)"
    try:
        shutil.move(found[0], capture)
    except OSError as error:
        return f"not available: {capture} cannot be written: {error}"
    return str(capture)


def _profile(
    launcher: Launcher, spec: WorkloadSpec, pair: Pair, seed: int, folder: Path, console: Console
) -> dict[str, ProfiledSide]:
    """Both sides by their names; the first process of each takes the pictures."""
    looks: dict[str, list[Looks]] = {side: [] for side in SIDES}
    conditions: dict[str, list[Conditions]] = {side: [] for side in SIDES}
    order = list(pair.processes())
    for number, (side, layers) in enumerate(order, 1):
        name, log = combination_name(layers), folder / f"{side}.log"
        files = None if looks[side] else (folder / "traces" / side).resolve()
        job = ProfileJob(workload=spec, layers=layers, seed=seed, seconds=pair.seconds, files=files)
        kind: type[Looks] = Looks if files is None else Pictured
        with console.status(f"profiling {side}: {name} ({number} of {len(order)} processes)"):
            found = watched(partial(launcher.run, job, kind, log, TIMEOUT_S))
        seen = succeeded(found.result, f"{name} cannot be profiled", log)
        idle = idle_layers(seen.proofs)
        if idle:
            raise WorkerError(f"a layer was not at work: {'; '.join(idle)}.")
        looks[side].append(seen)
        conditions[side].append(found.conditions)
    return {side: ProfiledSide.of(looks[side], conditions[side]) for side in SIDES}


def publish(found: ProfileFindings, unit: Unit, folder: Path, console: Console) -> None:
    """Print what was found, and then write it: a full disk must not lose it.

    Raises UserError when a file could not be written.
    """
    show_profile(found, unit, console)
    has_phases = bool(found.before.phases_ms)
    timeline = draw_timeline(folder / "timeline.png", found.before, found.after, unit) if has_phases else None
    document = {**to_json(found), "timeline": None if timeline is None else str(timeline)}
    for name, side in found.sides.items():
        document[name]["files"] = {kind: str(file) for kind, file in side.files.items()}
    write_file(folder / "profile.json", json.dumps(document, indent=1) + "\n")
    _show_files(found, timeline, folder, console)


def show_profile(found: ProfileFindings, unit: Unit, console: Console) -> None:
    """Print tables and sentences."""
    for table in tables_of(found, unit):
        draw_table(table, console)
        console.print()
    for warning in found.warnings:
        console.print(f"Warning: {warning}.")
    for sentence in found.sentences:
        console.print(f"- {sentence}")
    for name, side in found.sides.items():
        if isinstance(side.device_log, NoLog):
            text = f"- The device's own log of {name} is not available: {side.device_log.reason}."
            console.print(text)
        elif side.device_log is not None:
            draw_table(device_log_table(name, side.device_log, unit), console)
    if found.before.no_kernels_because:
        text = f"- Times of the device's kernels are not available: {found.before.no_kernels_because}."
        console.print(text)


def _show_files(found: ProfileFindings, timeline: Written | None, folder: Path, console: Console) -> None:
    """Print where the files are; UserError when one of them could not be written."""
    traces = {
        f"{name} {kind.replace('_', ' ')}": file
        for name, side in found.sides.items()
        for kind, file in side.files.items()
    }
    files = traces if timeline is None else {"timelines": timeline, **traces}
    capture = {} if found.metal_capture is None else {"metal capture": found.metal_capture}
    for name, file in {**files, **capture}.items():
        console.print(f"{name}: {file}", soft_wrap=True)
    console.print("Open traces at https://ui.perfetto.dev, flame graphs at https://www.speedscope.app.")
    console.print(f"All figures: {folder / 'profile.json'}", soft_wrap=True)
    refuse_unwritten(files)

"""The command ``scale``: one launcher for each device, and a plan whose trials say where they run."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError, quoted
from m2bench.machine.identity import fast_cores, usable_cores
from m2bench.options.option import GPUS
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import count_trials
from m2bench.plan.remaining import remaining_trials
from m2bench.processes.client import DESCRIBE_TIMEOUT_S, Launcher, succeeded
from m2bench.processes.environment import users_environment
from m2bench.processes.job_requests import LimitsJob
from m2bench.records.description import Description, PlaceLimits, Prepared
from m2bench.records.refusals import refuse_wrong_device
from m2bench.records.scale_spec import Place, Scale
from m2bench.records.spec import TrialSpec
from m2bench.store.folders import locked, make_folder, refuse_used, removed_if_refused
from m2bench.store.stored_trial import Result

from .describe import describe, prepare, refuse_unknown_layers, show_remarks
from .progress import RunProgress
from .run_ablation import opened_store, without_its_outputs
from .threads import threads_to_try
from .trials import Watched, run_trials, trial_executor


@dataclass(frozen=True)
class Site:
    """A device with the launcher of its workers, and what these have found out there."""

    launcher: Launcher
    spec: RunSpec
    description: Description
    prepared: Prepared

    def run(self, trial: TrialSpec, log: Path) -> Watched[Result]:
        self.launcher.threads = trial.threads
        execute = trial_executor(self.launcher, self.spec, self.description.device, self.description.workload.target)
        return execute(trial, log)

    @property
    def unsupported(self) -> dict[str, str]:
        """The layers that cannot run on this device, each with the reason."""
        return {layer.name: layer.unsupported for layer in self.description.layers if layer.unsupported}


def run_scale(spec: RunSpec, folder: Path, resuming: bool, wait_s: float, console: Console) -> None:
    """Run what is missing of the run in ``folder`` and store it; waits for other processes up to ``wait_s`` in all.

    Raises UserError for what the user can put right, before any trial; an interruption leaves every finished trial.
    """
    assert spec.scale is not None
    if not resuming:
        _refuse_absent_threads(spec.scale)
        refuse_used(
            folder,
            f"Continue a run with: m2bench scale --resume {quoted(folder)}, or choose another folder with --out.",
        )
    work = folder / "work"
    with ExitStack() as stack:
        with nullcontext() if resuming else removed_if_refused(folder):
            for name in (work, folder / "logs"):
                make_folder(name)
            stack.enter_context(locked(folder, work / "lock"))
            sites = _sites(stack, spec, work, folder / "logs", console)
            first = next(iter(sites.values()))
            prepared = first.prepared
            if not resuming:
                spec = replace(spec, scale=_placed(spec.scale, sites))
                prepared = replace(prepared, places=_limits(spec, sites, folder / "logs", console))
        with (
            opened_store(spec, folder, resuming, first.description, prepared) as store,
            RunProgress(console, count_trials(spec), store.attempts(), wait_s) as progress,
        ):
            for trial in remaining_trials(spec, first.description, store.attempts, progress.quiet.is_quiet):
                site = sites[trial.device or first.description.device.device]
                run_trials([trial], site.unsupported, store, site.run, progress.begins, progress.ended)
    shutil.rmtree(work, ignore_errors=True)


def _refuse_absent_threads(scale: Scale) -> None:
    cores = usable_cores()
    absent = [threads for threads in scale.threads if threads > cores]
    if absent:
        raise UserError(
            f"--threads {absent[0]}: this machine has {cores} core{'' if cores == 1 else 's'} for them.",
            f"Give numbers from 1 to {cores}.",
        )


def _sites(stack: ExitStack, spec: RunSpec, work: Path, logs: Path, console: Console) -> dict[str, Site]:
    """By device, in the order asked for; without being asked all that there are, the CPU first."""
    assert spec.scale is not None
    asked = spec.scale.devices or ("auto",)
    found = [_site(stack, spec, device, work, logs, console) for device in asked[:1]]
    here = found[0].description.device
    if not spec.scale.devices and here.all_devices:
        rest = [device for device in here.all_devices if device != here.device]
    else:
        rest = [*asked[1:]]
        _refuse_absent_devices(rest, found[0].description)
    found += [_site(stack, spec, device, work, logs, console) for device in rest]
    show_remarks(found[0].description, console)
    by_name = {site.description.device.device: site for site in found}
    return {name: by_name[name] for name in sorted(by_name, key=lambda name: name in GPUS)}


def _refuse_absent_devices(devices: list[str], description: Description) -> None:
    absent = description.device.absent_devices
    for device in devices:
        if device in absent:
            raise UserError(
                f"--devices {device}: it is not available: {absent[device]}.",
                f"There are: {', '.join(description.device.all_devices)}.",
            )


def _site(stack: ExitStack, spec: RunSpec, device: str, work: Path, logs: Path, console: Console) -> Site:
    """Examine a device and prepare its trials. Raises UserError for one that is not there, or that computes wrongly."""
    workload = replace(spec.workload, device=device)
    make_folder(work / device)
    launcher = stack.enter_context(
        Launcher(work / device, logs / f"launcher-{device}.log", users_environment(workload))
    )
    with console.status(f"examining this machine and preparing the data ({device})"):
        description = describe(launcher, workload, logs)
    refuse_unknown_layers(spec.layers, description)
    with console.status(f"preparing the numerics checks: the plain trainer in double precision ({device})"):
        prepared = prepare(launcher, workload, logs, spec.trial_timeout_s)
    refuse_wrong_device(description.device, prepared.device_faults or ())
    is_program = description.workload.own_program
    if is_program:
        description = without_its_outputs(description, Path(spec.workload.folder))
    if description.device.fork_after_compiler_import and not is_program:
        compiling = any(layer.compiles and layer.name in spec.layers for layer in description.layers)
        launcher.preload_compiler(probe=compiling)
    return Site(launcher, replace(spec, workload=workload), description, prepared)


def _placed(scale: Scale, sites: dict[str, Site]) -> Scale:
    """The run with its places: every device with every number of threads, of which a GPU has the smallest."""
    if any(site.description.workload.own_program for site in sites.values()):
        return replace(scale, places=(Place(),))
    threads = _threads(scale, next(iter(sites.values())).description)
    places = [
        Place(name, number) for name, number in product(sites, threads) if name not in GPUS or number == threads[0]
    ]
    return replace(scale, places=tuple(places))


def _threads(scale: Scale, description: Description) -> tuple[int, ...]:
    """Numbers of threads to be compared. Raises UserError for one that a layer would not keep to."""
    cores, on = fast_cores(), {layer for layers in scale.combinations for layer in layers}
    own = [layer.name for layer in description.layers if layer.own_threads and layer.name in on]
    if not own:
        return scale.threads or tuple(threads_to_try(cores))
    for threads in scale.threads:
        if threads != cores:
            raise UserError(
                f"--threads {threads}: {own[0]} computes by a thread on each of the {cores} cores, whatever is asked.",
                f"Give --threads {cores}, or leave {own[0]} out.",
            )
    return (cores,)


def _limits(spec: RunSpec, sites: dict[str, Site], logs: Path, console: Console) -> tuple[PlaceLimits, ...]:
    """What every place can do at most; none for programs, whose work cannot be seen."""
    assert spec.scale is not None
    return tuple(
        _limits_of(sites[place.device], place, logs / "limits.log", console)
        for place in spec.scale.places
        if place.device is not None
    )


def _limits_of(site: Site, place: Place, log: Path, console: Console) -> PlaceLimits:
    site.launcher.threads = place.threads
    job = LimitsJob(workload=site.spec.workload, place=place)
    with console.status(f"measuring what {place.name} can do at most"):
        found = site.launcher.run(job, PlaceLimits, log, DESCRIBE_TIMEOUT_S).result
    return succeeded(found, f"what {place.name} can do cannot be measured", log)

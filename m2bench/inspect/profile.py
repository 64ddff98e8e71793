"""The command ``profile``: two combinations side by side, and why one is faster."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, geometric_mean
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from m2bench.findings.noise import warnings_of
from m2bench.machine.checks import warnings_of_machine
from m2bench.processes.client import Launcher
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Device
from m2bench.records.documents import read, to_json
from m2bench.records.errors import UserError, WorkerError
from m2bench.records.files import refuse_unwritten, write_file
from m2bench.records.folders import make_folder, refuse_used, removed_if_refused
from m2bench.records.results import Conditions, Failure, Proof, idle_layers
from m2bench.records.spec import WorkloadSpec
from m2bench.records.unsupported import refuse_unsupported
from m2bench.records.wrong_device import refuse_wrong_device
from m2bench.run.describe import describe, prepare, show_remarks_on_data
from m2bench.run.threads import choose_threads
from m2bench.run.trials import run_watched
from m2bench.text.figures import NOTHING, digits, times
from m2bench.text.tables import Table, draw_table

from .device_log import read_device_log
from .explanation import explain, predictions
from .timeline import draw_timeline

TIMEOUT_S = 1800.0
PAIRS = 4  # of processes, one of each side; every second one in the other order
OPERATORS_SHOWN = 8  # of each side, and of the change
NAME_SHOWN = 80  # characters
SIDES = ("before", "after")
LEAST_MS = 0.001  # of a phase: below, it is the clock that is measured
CAPTURE = "update"

Document = dict[str, Any]
Spent = tuple[float, float]
"""How often, and milliseconds, per episode."""


@dataclass(frozen=True)
class Pair:
    """The two combinations to compare, in so many ``pairs`` of processes, each of which looks at its own undisturbed
    for so many seconds.
    """

    before: Layers
    after: Layers
    seconds: float = 3.0
    pairs: int = PAIRS


def run(spec: WorkloadSpec, pair: Pair, seed: int, folder: Path, capture: Path | None, console: Console) -> None:
    """Profile both sides in processes of their own; print what that shows, and write profile.json and the traces.

    ``capture``: where a Metal capture of one update of the second side goes; None: there is none. Raises UserError when
    a layer cannot run here or a file cannot be written, WorkerError when a side fails.
    """
    refuse_used(folder, "Choose another folder with --out.")
    with removed_if_refused(folder), TemporaryDirectory(prefix="m2bench-") as work:
        make_folder(folder / "traces")
        with Launcher(Path(work), folder / "profile.log") as launcher:
            with console.status("examining this machine"):
                description = describe(launcher, spec, folder)
                show_remarks_on_data(description, console)
                refuse_unsupported({*pair.before, *pair.after}, description, "Leave it out.")
                description = choose_threads(launcher, description, spec, (*pair.before, *pair.after), None, folder)
                if capture is not None:
                    _require_metal(description.device)
                prepared = prepare(launcher, spec, folder)
                refuse_wrong_device(description.device, prepared.device_faults or ())
            sides, conditions = _profile(launcher, spec, pair, seed, folder, console)
        device = description.device
        for name, side in sides.items():
            side["device_log"] = _device_log(device, spec, side["layers"], seed, Path(work), folder / name)
        captured = None if capture is None else _capture(spec, pair.after, seed, Path(work), folder, capture)
    document: Document = {
        **sides,
        "warnings": [
            *warnings_of_machine(description.machine, device),
            *warnings_of(conditions, "process"),
        ],
        "predictions": to_json(predictions(sides["before"], sides["after"])),
        "sentences": explain(sides["before"], sides["after"], prepared.peak_flops),
        "peak_flops": prepared.peak_flops,
        "machine": description.facts,
        "workload": spec.to_json(),
        "metal_capture": captured,
    }
    publish(document, folder, console)


def _device_log(
    device: Device, spec: WorkloadSpec, layers: list[str], seed: int, work: Path, log: Path
) -> Document | None:
    """What the device's own log says, where it has one and torch.profiler sees nothing of it."""
    environment = device.log_environment
    return None if environment is None else read_device_log(environment, spec, tuple(layers), seed, work, log)


def _require_metal(device: Device) -> None:
    if device.log_environment is None:
        raise UserError(
            f"--metal-capture needs an Apple GPU, and this profile would run on {device.device}.", "Leave it out."
        )


def _capture(spec: WorkloadSpec, layers: Layers, seed: int, work: Path, folder: Path, capture: Path) -> str:
    """Write one update as a Metal capture; its path, or why there is none.

    torch names the file itself, "0000-<name>.gputrace" in the worker's own folder (MPSProfiler.mm).
    """
    request = {"workload": spec.to_json(), "layers": layers, "seed": seed, "updates": 1, "capture": CAPTURE}
    log = folder / "capture.log"
    with Launcher(work, log, {"MTL_CAPTURE_ENABLED": "1"}) as launcher:
        outcome = launcher.run("updates", request, Document, log, TIMEOUT_S).result
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
) -> tuple[dict[str, Document], list[Conditions]]:
    """Both sides, each as _merge has it, and the conditions of all processes; the first of each takes the pictures."""
    layers = {"before": pair.before, "after": pair.after}
    done: dict[str, list[Document]] = {side: [] for side in SIDES}
    conditions: list[Conditions] = []
    order = [side for pair_number in range(pair.pairs) for side in SIDES[:: 1 if pair_number % 2 == 0 else -1]]
    for number, side in enumerate(order, 1):
        files = None if done[side] else folder / "traces" / side
        request = {
            "workload": spec.to_json(),
            "layers": layers[side],
            "seed": seed,
            "seconds": pair.seconds,
            "files": files and str(files.resolve()),
        }
        name = combination_name(layers[side])
        with console.status(f"profiling {side}: {name} ({number} of {len(order)} processes)"):
            outcome = run_watched(launcher, "profile", request, Document, folder / f"{side}.log", TIMEOUT_S)
        found = outcome.result
        if isinstance(found, Failure):
            raise WorkerError(f"{name} cannot be profiled: {found.text}.", f"The log is {folder / f'{side}.log'}.")
        _check_engaged(found)
        done[side].append({**found, "conditions": to_json(outcome.conditions)})
        conditions.append(outcome.conditions)
    return {side: _merge(processes) for side, processes in done.items()}, conditions


def _check_engaged(side: Document) -> None:
    idle = idle_layers(read(dict[str, Proof], side["proofs"]))
    if idle:
        raise WorkerError(f"a layer was not at work: {'; '.join(idle)}.")


def _merge(processes: list[Document]) -> Document:
    """The first process, with times that are means over all, and the times and conditions of each."""
    first = processes[0]
    return {
        **first,
        "conditions": [p["conditions"] for p in processes],
        "counts_repeat": all(p["counts"] == first["counts"] for p in processes),
        "undisturbed_ms": geometric_mean(p["undisturbed_ms"] for p in processes),
        "undisturbed_each_ms": [p["undisturbed_ms"] for p in processes],
        "phases_ms": {name: fmean(p["phases_ms"][name] for p in processes) for name in first["phases_ms"]},
        "phases_each_ms": [p["phases_ms"] for p in processes],
        "evaluation_s": fmean(p["evaluation_s"] for p in processes),
    }


def publish(document: Document, folder: Path, console: Console) -> None:
    """Print what was found and then write it, so that a full disk does not cost it.

    Raises UserError when a file could not be written.
    """
    show(document, console)
    document["timeline"] = draw_timeline(folder / "timeline.png", document["before"], document["after"])
    write_file(folder / "profile.json", json.dumps(document, indent=1) + "\n")
    _show_files(document, folder, console)


def show(document: Document, console: Console) -> None:
    """Print tables and sentences."""
    before, after = document["before"], document["after"]
    tables = (phases_table, operators_table, kernels_table, counts_table)
    for table in filter(None, (make_table(before, after) for make_table in tables)):
        draw_table(table, console)
        console.print()
    for warning in document["warnings"]:
        console.print(f"Warning: {warning}.", markup=False, highlight=False)
    for sentence in document["sentences"]:
        console.print(f"- {sentence}", markup=False, highlight=False)
    for side in SIDES:
        if document[side]["device_log"] is not None:
            _show_device_log(side, document[side]["device_log"], console)
    if before["no_kernels_because"]:
        console.print(
            f"- Times of the device's kernels are not available: {before['no_kernels_because']}.",
            markup=False,
            highlight=False,
        )


def _show_files(document: Document, folder: Path, console: Console) -> None:
    """Print where the files are; UserError when one of them could not be written."""
    traces = {
        f"{side} {kind.replace('_', ' ')}": path for side in SIDES for kind, path in document[side]["files"].items()
    }
    files = {"timelines": document["timeline"], **traces}
    if document["metal_capture"] is not None:
        files["metal capture"] = document["metal_capture"]
    for name, path in files.items():
        console.print(f"{name}: {path}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        "Open traces at https://ui.perfetto.dev, flame graphs at https://www.speedscope.app.", highlight=False
    )
    console.print(f"All figures: {folder / 'profile.json'}", markup=False, highlight=False, soft_wrap=True)
    refuse_unwritten(files)


def _show_device_log(name: str, log: Document, console: Console) -> None:
    """The device's own operations, copies and fallbacks to the CPU, or why they are not known."""
    if "reason" in log:
        console.print(f"- The device's own log of {name} is not available: {log['reason']}.", markup=False)
        return
    rows = [
        (kind, operator, digits(runs), digits(milliseconds))
        for kind in ("operations", "fallbacks", "copies")
        for operator, (runs, milliseconds) in sorted(log[kind].items(), key=lambda item: -item[1][1])[:OPERATORS_SHOWN]
    ]
    title = f"{name}: what the device's own log says, per episode, one operation at a time"
    draw_table(Table(title, ("kind", "operator", "runs", "ms"), rows, frozenset({"runs", "ms"})), console)


def phases_table(before: Document, after: Document) -> Table:
    """Milliseconds per episode, share and memory of each phase, and the change."""
    sums = [sum(side["phases_ms"].values()) for side in (before, after)]
    rows = [
        (
            name,
            *_milliseconds(before, name, sums[0]),
            *_milliseconds(after, name, sums[1]),
            _faster(*(side["phases_ms"].get(name, 0.0) for side in (before, after))),
            *(_memory(side, name) for side in (before, after)),
        )
        for name in dict.fromkeys((*before["phases_ms"], *after["phases_ms"]))
    ]
    whole = [side["undisturbed_ms"] for side in (before, after)]
    found = predictions(before, after)
    rows.append(("sum", digits(sums[0]), "100%", digits(sums[1]), "100%", times(found.phases.value), "", ""))
    rows.append(
        ("an unwatched episode", digits(whole[0]), "", digits(whole[1]), "", times(found.measured.value), "", "")
    )
    evaluation = [1e3 * side["evaluation_s"] for side in (before, after)]
    rows.append(("one evaluation, apart", digits(evaluation[0]), "", digits(evaluation[1]), "", "", "", ""))
    columns = ("before ms", "share", "after ms", "share ", "faster", "before MB", "after MB")
    sampled = ", sampled at the ends of phases" if before["memory_is_sampled"] else ""
    megabytes = f"MB: most allocated beyond the start{sampled}"
    return Table(
        title=f"Where an episode's time goes: {_name(before)} -> {_name(after)} ({megabytes})",
        columns=("phase", *columns),
        rows=rows,
        numeric=frozenset(columns),
    )


def _milliseconds(side: Document, name: str, whole: float) -> tuple[str, str]:
    value = side["phases_ms"].get(name)
    return (NOTHING, NOTHING) if value is None else (f"{value:.3f}", f"{value / whole:.0%}")


def _memory(side: Document, name: str) -> str:
    return digits(side["peak_memory_mb"].get(name))


def _faster(before_ms: float, after_ms: float) -> str:
    """How many times faster; nothing where there was next to nothing to begin with or in the end."""
    return NOTHING if min(before_ms, after_ms) < LEAST_MS else times(before_ms / after_ms)


def _change(before: float | None, after: float | None) -> str:
    return NOTHING if not before or not after else times(before / after)


def operators_table(before: Document, after: Document) -> Table:
    """The operators that take most of either side, and those that change most, as torch.profiler saw them."""
    columns = ("events before", "ms before", "events after", "ms after", "change ms")
    return Table(
        title="Operators by their own time per episode, under torch.profiler, which slows them; nested ones count too",
        columns=("operator", *columns),
        rows=_own_times(before["operators"], after["operators"]),
        numeric=frozenset(columns),
    )


def kernels_table(before: Document, after: Document) -> Table | None:
    """The same of the device's kernels and copies; None where none was recorded."""
    if not before["kernels"] and not after["kernels"]:
        return None
    columns = ("runs before", "ms before", "runs after", "ms after", "change ms")
    return Table(
        title="Kernels and copies of the device by their time per episode",
        columns=("kernel", *columns),
        rows=_own_times(before["kernels"], after["kernels"]),
        numeric=frozenset(columns),
    )


def _own_times(before: dict[str, Spent], after: dict[str, Spent]) -> list[tuple[str, ...]]:
    """Rows of those that take most time before, after, or in the change; the longest first."""
    found = {name: (before.get(name, (0.0, 0.0)), after.get(name, (0.0, 0.0))) for name in {*before, *after}}
    was, now = ({name: spent[side][1] for name, spent in found.items()} for side in (0, 1))
    ranks = (was, now, {name: abs(now[name] - was[name]) for name in found})
    chosen = {name for ms in ranks for name in sorted(ms, key=lambda name: (-ms[name], name))[:OPERATORS_SHOWN]}
    return [
        (
            shorten(name),
            *(figure for calls, ms in found[name] for figure in (_calls(calls), digits(ms))),
            f"{now[name] - was[name]:+.2f}",
        )
        for name in sorted(chosen, key=lambda name: (-max(was[name], now[name]), name))
    ]


def shorten(name: str) -> str:
    """The name of a kernel can be a page of template arguments; its two ends tell it from others."""
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN // 2]}...{name[-NAME_SHOWN // 2 :]}"


def _calls(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"


def counts_table(before: Document, after: Document) -> Table:
    """What an episode asks of the device."""
    labels = {
        "dispatches": "operators dispatched" + (", not fused" if before["compiles"] or after["compiles"] else ""),
        "kernels": "of them computing",
        "syncs": "values read by the host",
        "copies": "copies between host and device",
        "doubles": "float64 operators",
        "flops": "matrix-product operations",
    }
    sides = [side["counts"]["per_episode"] for side in (before, after)]
    rows = [
        (label, _calls(sides[0][name]), _calls(sides[1][name]), _fewer(sides[0][name], sides[1][name]))
        for name, label in labels.items()
    ]
    for label, name in (("device kernels", "kernels"), ("ms of device kernels", "kernel_busy_ms"),
                        ("ms between kernels (launch gaps)", "launch_gap_ms")):  # fmt: skip
        values = [_kernel_figure(side, name) for side in (before, after)]
        if values[0] is not None or values[1] is not None:
            rows.append((label, digits(values[0]), digits(values[1]), _change(*values)))
    repeat = all(side["counts_repeat"] for side in (before, after))
    return Table(
        title=f"Counts per episode ({'the same in every process' if repeat else 'DIFFERENT from process to process'})",
        columns=("of an episode", "before", "after", "fewer"),
        rows=rows,
        numeric=frozenset({"before", "after", "fewer"}),
    )


def _fewer(before: float, after: float) -> str:
    return "all" if before and not after else _change(before, after)


def _kernel_figure(side: Document, name: str) -> float | None:
    if name == "kernels":
        return sum(calls for calls, _ in side["kernels"].values()) or None
    value: float | None = side[name]
    return value


def _name(side: Document) -> str:
    return combination_name(tuple(side["layers"]))

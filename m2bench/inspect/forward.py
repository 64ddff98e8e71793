"""The command ``forward``: what a forward pass takes at each batch size, and where one way overtakes another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from m2bench.findings.noise import warnings_of
from m2bench.processes.client import Launcher, succeeded
from m2bench.processes.job import ForwardJob
from m2bench.records.documents import called, to_json
from m2bench.records.inspected import PassTime, TimedPasses, Written
from m2bench.records.refusals import refuse_wrong_device
from m2bench.records.results import Conditions
from m2bench.records.spec import WorkloadSpec
from m2bench.run.describe import describe, prepare, show_remarks
from m2bench.run.trials import watched
from m2bench.statistics.crossings import Comparison, Spread, SpreadBySize
from m2bench.store.files import refuse_unwritten, try_to_write, write_file
from m2bench.store.folders import make_folder, refuse_used, removed_if_refused
from m2bench.text.figures import NOTHING, digits
from m2bench.text.tables import Table, draw_table

TIMEOUT_S = 3600.0
WIDTH, HEIGHT, DPI = 9.0, 5.5, 110
PLAIN = "float32, eager"


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
        console.print(f"Warning: {warning}.", markup=False, highlight=False)
    for sentence in sentences:
        console.print(f"- {sentence}", markup=False, highlight=False)
    chart = _draw(folder / "forward.png", devices, comparisons)
    compared = tuple(Compared(each.name, each.other, each.leads, each.crossings) for each in comparisons)
    found = ForwardFindings(passes, devices, compared, sentences, conditions, tuple(warnings), str(chart))
    write_file(folder / "forward.json", json.dumps(to_json(found), indent=1) + "\n")
    console.print(f"Chart: {chart}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"All figures: {folder / 'forward.json'}", markup=False, highlight=False, soft_wrap=True)
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


def _spread(cell: PassTime) -> Spread | None:
    """None where it was not timed."""
    if cell.ms is None or cell.ms_least is None or cell.ms_most is None:
        return None
    return Spread(cell.ms, cell.ms_least, cell.ms_most)


def _by_variant(timed: Sequence[PassTime]) -> dict[str, dict[int, PassTime]]:
    variants: dict[str, dict[int, PassTime]] = {}
    for entry in timed:
        variants.setdefault(entry.variant, {})[entry.batch] = entry
    return variants


def forward_table(device: str, timed: Sequence[PassTime]) -> Table:
    """Milliseconds of a pass with their spread, by batch size and variant."""
    variants = _by_variant(timed)
    sizes = list(dict.fromkeys(entry.batch for entry in timed))
    rows = []
    for size in sizes:
        cells = [variants[name][size] for name in variants]
        best = min((cell.ms for cell in cells if cell.ms is not None), default=None)
        rows.append((f"{size:,}", *map(_cell, cells), NOTHING if best is None else f"{1e3 * size / best:,.0f}"))
    columns = (*variants, "states/s at best")
    first = {name: cells[sizes[0]] for name, cells in variants.items()}
    reasons = "".join(f"; {name}: {cell.reason}" for name, cell in first.items() if cell.reason is not None)
    return Table(
        f"ms per forward pass on {device}, without gradients{reasons}",
        ("batch", *columns),
        rows,
        frozenset({"batch", *columns}),
        notes=("Passes are timed in groups: the median of the groups, in brackets the least and the most of them.",),
    )


def _cell(cell: PassTime) -> str:
    spread = _spread(cell)
    if spread is None:
        return "not here"
    return f"{digits(spread.ms)} [{digits(spread.ms_least)}, {digits(spread.ms_most)}]"


def compare_variants(found: Mapping[str, Sequence[PassTime]]) -> list[Comparison]:
    """Each variant with plain float32 on its device, and plain float32 of each device with that of the CPU."""
    comparisons = []
    for device, timed in found.items():
        variants = {name: _timed_cells(cells) for name, cells in _by_variant(timed).items()}
        plain = variants.pop(PLAIN)
        comparisons += [
            Comparison(_label(device, name), _label(device, PLAIN), cells, plain)
            for name, cells in variants.items()
            if cells
        ]
        if device != "cpu" and "cpu" in found:
            on_cpu = _timed_cells(_by_variant(found["cpu"])[PLAIN])
            comparisons.append(Comparison(_label(device, PLAIN), _label("cpu", PLAIN), plain, on_cpu))
    return comparisons


def _label(device: str, variant: str) -> str:
    return f"{variant} on {device}"


def _timed_cells(cells: Mapping[int, PassTime]) -> SpreadBySize:
    return {size: spread for size, cell in cells.items() if (spread := _spread(cell)) is not None}


def _draw(path: Path, found: Mapping[str, Sequence[PassTime]], comparisons: list[Comparison]) -> Written:
    """A chart of ms per pass by batch size, one line per device and variant."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(WIDTH, HEIGHT), constrained_layout=True)
    for device, timed in found.items():
        for name, cells in _by_variant(timed).items():
            plot_line(axis, _label(device, name), _timed_cells(cells))
    mark_crossings(axis, comparisons)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("batch size")
    axis.set_ylabel("ms per forward pass (bars: least to most of the groups)")
    axis.set_title("Forward passes of the policy: flat where dispatching operators takes the time")
    axis.grid(visible=True, which="major", alpha=0.3)
    axis.legend()
    drawn = try_to_write(path, lambda: figure.savefig(path, dpi=DPI))
    pyplot.close(figure)
    return drawn


def plot_line(axis: Any, label: str, cells: SpreadBySize) -> None:
    """The median of each batch size, with a bar from the least to the most; nothing where nothing was timed."""
    if cells:
        below = [cell.ms - cell.ms_least for cell in cells.values()]
        above = [cell.ms_most - cell.ms for cell in cells.values()]
        medians = [cell.ms for cell in cells.values()]
        axis.errorbar(list(cells), medians, (below, above), marker="o", capsize=3, label=label)


def mark_crossings(axis: Any, comparisons: Sequence[Comparison]) -> None:
    """A diamond where two lines cross, with a bar from one batch size at which the lead is decided to the next."""
    label = f"the lead over {PLAIN} changes between these batch sizes"
    for comparison in comparisons:
        for low, high in comparison.crossings:
            size, ms = comparison.point(low, high)
            axis.errorbar(size, ms, xerr=([size - low], [high - size]), label=label, fmt="D", color="black",
                          markerfacecolor="none", markersize=9, capsize=5, zorder=3)  # fmt: skip
            label = ""  # one entry in the legend is enough

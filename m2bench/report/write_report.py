"""Writes and shows what a run found. The files: summary.json, impact.csv, report.md, report.html, charts/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from m2bench.errors import UserError
from m2bench.findings.compare_machines import compare_machines
from m2bench.findings.summarize_ablation import summarize
from m2bench.findings.summarize_factors import summarize_factors
from m2bench.findings.summarize_scale import summarize_scale
from m2bench.records.documents import to_json
from m2bench.store.files import write_file
from m2bench.store.fleet import events_of, folders_of_kinds, is_fleet
from m2bench.store.folders import make_folder
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.factors_summary import FactorsSummary
from m2bench.summary.machines_summary import SideBySide
from m2bench.summary.scale_summary import ScaleSummary
from m2bench.text.tables import draw_table

from .ablation_report import ablation_content
from .charts import Chart, NotDrawn, draw_charts
from .charts.layers_across import draw_layers_across
from .factors_report import draw_factors_charts, factors_content
from .fleet_report import fleet_content, side_by_side_content
from .impact_csv import impact_csv
from .machines_report import differences, layers_across_table
from .markdown import markdown
from .page import page
from .scale_report import draw_scale_charts, scale_content
from .terminal import show_content

CHARTS = "charts"
NOTHING_MEASURED = "no combination could be measured"


def write_report(store: Store) -> Summary:
    """Write all files of the report on an ablation from the stored trials alone; returns the summary.

    Raises UserError when a file cannot be written.
    """
    folder = store.folder
    summary = summarize(folder.resolve().name, store.record(), store.attempts())
    charts = draw_charts(summary)
    begun = folder.parent if is_fleet(folder.parent) else folder  # what is resumed is the run on all machines
    content = ablation_content(summary, charts, begun)
    _write(folder, summary, charts, markdown(content), page(content, summary))
    write_file(folder / "impact.csv", impact_csv(summary))
    return summary


def write_scale_report(store: Store) -> ScaleSummary:
    """The same of a run of ``scale``."""
    folder = store.folder
    summary = summarize_scale(folder.resolve().name, store.record(), store.attempts())
    charts = draw_scale_charts(summary)
    content = scale_content(summary, charts, folder)
    _write(folder, summary, charts, markdown(content), page(content))
    return summary


def write_factors_report(store: Store) -> FactorsSummary:
    """The same of a run of ``ablate --factors``."""
    folder = store.folder
    summary = summarize_factors(folder.resolve().name, store.record(), store.attempts())
    charts = draw_factors_charts(summary)
    content = factors_content(summary, charts, folder)
    _write(folder, summary, charts, markdown(content), page(content))
    return summary


def write_and_show(folder: Path, console: Console) -> str | None:
    """Write the report on the run in ``folder`` and show it; why nothing could be compared, None where it could."""
    if is_fleet(folder):
        return _write_and_show_fleet(folder, console)
    with Store.open(folder) as store:
        if store.record().spec.scale is not None:
            scaled = write_scale_report(store)
            show_content(scale_content(scaled, (), folder), folder, console)
            return NOTHING_MEASURED if scaled.fastest is None else None
        if store.record().spec.factors is not None:
            crossed = write_factors_report(store)
            show_content(factors_content(crossed, (), folder), folder, console)
            return NOTHING_MEASURED if crossed.soonest_by_seconds is None else None
        summary = write_report(store)
        show_report(summary, folder, console)
        return _why_nothing_is_compared(summary, store.attempts())


def _why_nothing_is_compared(summary: Summary, trials: Sequence[StoredTrial]) -> str | None:
    """Which failures keep layers from being compared with the baseline; that one did nothing is no failure."""
    if summary.best is None:
        return NOTHING_MEASURED
    with_layers = [c for c in summary.combinations if c.layers and c.trials]
    if not with_layers or any(c.status != "failed" for c in with_layers):
        return None
    reasons = {trial.reason for trial in trials if trial.status == "failed"}
    same = f", all for the same reason: {reasons.pop()}" if len(reasons) == 1 else ""
    return f"nothing could be compared: every combination but the baseline failed{same}"


def _write_and_show_fleet(folder: Path, console: Console) -> str | None:
    """The reports on all kinds of machines, and the one that sets them side by side, which is shown; why nothing could
    be compared on any of them, None where it could.
    """
    with ExitStack() as stack:
        stores = {name: stack.enter_context(Store.open(path)) for name, path in folders_of_kinds(folder).items()}
        if not stores:
            raise UserError(f"{folder} holds no trial yet.", "What happened stands in its events.jsonl.")
        kinds = {name: write_report(store) for name, store in stores.items()}
        reasons = [_why_nothing_is_compared(kinds[name], store.attempts()) for name, store in stores.items()]
        found = compare_machines([*stores.values()])
    chart = draw_layers_across(found)
    content = fleet_content(folder.resolve().name, found, chart, kinds, events_of(folder))
    _write(folder, found, [chart], markdown(content), page(content))
    show_content(content, folder, console)
    return None if None in reasons else reasons[0]


def write_side_by_side(found: SideBySide, folder: Path) -> None:
    """Write the report that sets any runs side by side; UserError when a file cannot be written."""
    make_folder(folder)
    chart = draw_layers_across(found)
    content = side_by_side_content(folder.resolve().name, found, chart)
    _write(folder, found, [chart], markdown(content), page(content))


def show_side_by_side(found: SideBySide, console: Console) -> None:
    """Print what runs side by side tell."""
    draw_table(layers_across_table(found), console)
    for line in differences(found):
        console.print(line)


def show_report(summary: Summary, folder: Path, console: Console) -> None:
    """Print the report on an ablation."""
    show_content(ablation_content(summary, (), folder), folder, console)


def _write(
    folder: Path,
    summary: Summary | ScaleSummary | FactorsSummary | SideBySide,
    charts: Sequence[Chart | NotDrawn],
    as_markdown: str,
    as_page: str,
) -> None:
    write_file(folder / "summary.json", json.dumps(to_json(summary), indent=1) + "\n")
    make_folder(folder / CHARTS)
    for chart in charts:
        svg, png = (folder / CHARTS / f"{chart.name}.{suffix}" for suffix in ("svg", "png"))
        if isinstance(chart, Chart):
            write_file(svg, chart.svg)
            write_file(png, chart.png)
        else:
            svg.unlink(missing_ok=True)
            png.unlink(missing_ok=True)
    write_file(folder / "report.md", as_markdown)
    write_file(folder / "report.html", as_page)

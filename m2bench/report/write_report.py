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
from .content import Content
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
    return _write_ablation(store)[0]


def write_and_show(folder: Path, console: Console) -> str | None:
    """Write the report on the run in ``folder`` and show it; why nothing could be compared, None where it could."""
    if is_fleet(folder):
        content, why = _write_fleet(folder)
    else:
        with Store.open(folder) as store:
            content, why = _write_run(store)
    show_content(content, folder, console)
    return why


def _write_run(store: Store) -> tuple[Content, str | None]:
    """Write the report on a run of any kind; its content, and why nothing could be compared."""
    folder, record = store.folder, store.record()
    name = folder.resolve().name
    if record.spec.scale is not None:
        scaled = summarize_scale(name, record, store.attempts())
        charts = draw_scale_charts(scaled)
        content = scale_content(scaled, charts, folder)
        _write(folder, scaled, charts, content, page(content))
        return content, NOTHING_MEASURED if scaled.fastest is None else None
    if record.spec.factors is not None:
        crossed = summarize_factors(name, record, store.attempts())
        charts = draw_factors_charts(crossed)
        content = factors_content(crossed, charts, folder)
        _write(folder, crossed, charts, content, page(content))
        return content, NOTHING_MEASURED if crossed.soonest_by_seconds is None else None
    summary, content = _write_ablation(store)
    return content, _why_nothing_is_compared(summary, store.attempts())


def _write_ablation(store: Store) -> tuple[Summary, Content]:
    folder = store.folder
    summary = summarize(folder.resolve().name, store.record(), store.attempts())
    charts = draw_charts(summary)
    begun = folder.parent if is_fleet(folder.parent) else folder  # what is resumed is the run on all machines
    content = ablation_content(summary, charts, begun)
    _write(folder, summary, charts, content, page(content, summary))
    write_file(folder / "impact.csv", impact_csv(summary))
    return summary, content


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


def _write_fleet(folder: Path) -> tuple[Content, str | None]:
    """Write the reports on all kinds of machines, and the one that sets them side by side; the content of that, and why
    nothing could be compared on any of them.
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
    _write(folder, found, [chart], content, page(content))
    return content, None if None in reasons else reasons[0]


def write_side_by_side(found: SideBySide, folder: Path) -> None:
    """Write the report that sets any runs side by side; UserError when a file cannot be written."""
    make_folder(folder)
    chart = draw_layers_across(found)
    content = side_by_side_content(folder.resolve().name, found, chart)
    _write(folder, found, [chart], content, page(content))


def show_side_by_side(found: SideBySide, console: Console) -> None:
    """Print what runs side by side tell."""
    draw_table(layers_across_table(found), console)
    for line in differences(found):
        console.print(line)


def _write(
    folder: Path,
    summary: Summary | ScaleSummary | FactorsSummary | SideBySide,
    charts: Sequence[Chart | NotDrawn],
    content: Content,
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
    write_file(folder / "report.md", markdown(content))
    write_file(folder / "report.html", as_page)

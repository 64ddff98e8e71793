"""Writes and shows what a run found. The files: summary.json, impact.csv, report.md, report.html, charts/."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from m2bench.findings.scaling import summarize_scale
from m2bench.findings.summarize import summarize
from m2bench.records.documents import Document, to_json
from m2bench.records.figure import Figure
from m2bench.records.files import write_file
from m2bench.records.folders import make_folder
from m2bench.records.rows import LayerRow
from m2bench.records.scale_summary import ScaleSummary
from m2bench.records.summary import Summary
from m2bench.run.store import Store

from .ablation import ablation_content
from .charts import Chart, NotDrawn, draw_charts
from .markdown import markdown
from .page import page
from .scale import draw_scale_charts, scale_content
from .terminal import show

CHARTS = "charts"


def write_report(store: Store) -> Summary:
    """Write all files of the report on an ablation from the stored trials alone; returns the summary.

    Raises UserError when a file cannot be written.
    """
    folder = store.folder
    summary = summarize(folder.resolve().name, store.record(), store.attempts())
    charts = draw_charts(summary)
    content = ablation_content(summary, charts, folder)
    _write(folder, to_json(summary), charts, markdown(content), page(content, summary))
    write_file(folder / "impact.csv", _impact_csv(summary))
    return summary


def write_scale_report(store: Store) -> ScaleSummary:
    """The same of a run of ``scale``."""
    folder = store.folder
    summary = summarize_scale(folder.resolve().name, store.record(), store.attempts())
    charts = draw_scale_charts(summary)
    content = scale_content(summary, charts, folder)
    _write(folder, to_json(summary), charts, markdown(content), page(content))
    return summary


def report(folder: Path, console: Console) -> bool:
    """Write the report on the run in ``folder`` and show it; whether anything could be measured."""
    with Store.open(folder) as store:
        if store.record().spec.scale is not None:
            scaled = write_scale_report(store)
            show(scale_content(scaled, (), folder), folder, console)
            return scaled.fastest is not None
        summary = write_report(store)
        show_report(summary, folder, console)
        return summary.best is not None


def show_report(summary: Summary, folder: Path, console: Console) -> None:
    """Print the report on an ablation."""
    show(ablation_content(summary, (), folder), folder, console)


def _write(
    folder: Path, document: Document, charts: Sequence[Chart | NotDrawn], as_markdown: str, as_page: str
) -> None:
    write_file(folder / "summary.json", json.dumps(document, indent=1) + "\n")
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


def _impact_csv(summary: Summary) -> str:
    rows = [_impact_row(layer, summary.device_faults) for layer in summary.layers]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _impact_row(layer: LayerRow, device_faults: tuple[str, ...]) -> dict[str, object]:
    low, high = layer.claim.claim or (None, None)
    shapley_low, shapley_high = (layer.speed.shapley and layer.speed.shapley.interval) or (None, None)
    return {
        "layer": layer.name,
        "part": layer.part,
        "difficulty": layer.difficulty,
        "priority": layer.priority,
        "claim_low": low,
        "claim_high": high,
        "alone": _value(layer.speed.alone),
        "last": _value(layer.speed.last),
        "main_effect": _value(layer.speed.main_effect),
        "shapley": _value(layer.speed.shapley),
        "shapley_ci_low": shapley_low,
        "shapley_ci_high": shapley_high,
        "share": _value(layer.speed.share),
        "verdict": layer.verdict,
        "episodes_needed": _value(layer.learning.episodes_needed),
        "time_to_target": _value(layer.time_to_target),
        "gain_surviving": _value(layer.gain_surviving),
        "learning": layer.learning.learning,
        "device_faults": "; ".join(device_faults),
    }


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value

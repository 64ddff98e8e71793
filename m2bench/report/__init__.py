"""Writes and shows what a run found. The files: summary.json, impact.csv, report.md, report.html, charts/."""

from __future__ import annotations

import json

from m2bench.findings.summarize import summarize
from m2bench.records.documents import to_json
from m2bench.records.files import write_file
from m2bench.records.folders import make_folder
from m2bench.records.store import Store
from m2bench.records.summary import Summary

from .charts import Chart, draw_charts
from .impact_csv import impact_csv
from .markdown import markdown
from .page import page
from .terminal import show_report as show_report

CHARTS = "charts"


def write_report(store: Store) -> Summary:
    """Write all files of the report from the stored trials alone; returns the summary.

    Raises UserError when a file cannot be written.
    """
    folder = store.folder
    summary = summarize(folder.resolve().name, store.record(), store.attempts())
    write_file(folder / "summary.json", json.dumps(to_json(summary), indent=1) + "\n")
    write_file(folder / "impact.csv", impact_csv(summary))
    charts = draw_charts(summary)
    make_folder(folder / CHARTS)
    for chart in charts:
        svg, png = (folder / CHARTS / f"{chart.name}.{suffix}" for suffix in ("svg", "png"))
        if isinstance(chart, Chart):
            write_file(svg, chart.svg)
            write_file(png, chart.png)
        else:
            svg.unlink(missing_ok=True)
            png.unlink(missing_ok=True)
    write_file(folder / "report.md", markdown(summary, charts, folder))
    write_file(folder / "report.html", page(summary, charts, folder))
    return summary

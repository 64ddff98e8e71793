"""Writes and shows what a run found. The files: summary.json, impact.csv, report.md, report.html, charts/."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from m2bench.findings.summarize import summarize
from m2bench.records.folders import make_folder, write_file
from m2bench.run.store import Store

from .charts import Chart, draw_charts
from .markdown import markdown
from .page import page
from .terminal import show_report as show_report

CHARTS = "charts"


def write_report(store: Store) -> dict[str, Any]:
    """Write all files of the report from the stored trials alone; returns the summary.

    Raises UserError when a file cannot be written.
    """
    folder = store.folder
    summary = summarize(folder.resolve().name, store.record(), store.attempts())
    write_file(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_file(folder / "impact.csv", _impact_csv(summary))
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


def _impact_csv(summary: dict[str, Any]) -> str:
    columns = [
        "layer", "part", "difficulty", "priority", "claim_low", "claim_high", "alone", "last", "main_effect",
        "shapley", "shapley_ci_low", "shapley_ci_high", "share", "verdict", "episodes_needed", "time_to_target",
        "gain_surviving", "learning", "device_faults",
    ]  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for layer in summary["layers"]:
        claim, interval = layer["claim"], layer["shapley_ci"] or (None, None)
        row = {**layer, "layer": layer["name"], "claim_low": claim[0], "claim_high": claim[1]}
        row |= {"shapley_ci_low": interval[0], "shapley_ci_high": interval[1]}
        row |= {"device_faults": "; ".join(summary["device_faults"])}
        writer.writerow([row[column] for column in columns])
    return out.getvalue()

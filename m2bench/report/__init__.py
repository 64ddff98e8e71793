"""Writes and shows what a run found. The files: summary.json, impact.csv, report.md, report.html, charts/."""

from __future__ import annotations

import csv
import io
import json

from m2bench.findings.summarize import summarize
from m2bench.records.documents import to_json
from m2bench.records.figure import Figure
from m2bench.records.files import write_file
from m2bench.records.folders import make_folder
from m2bench.records.rows import LayerRow
from m2bench.records.summary import Summary
from m2bench.run.store import Store

from .charts import Chart, draw_charts
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

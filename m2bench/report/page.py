"""The report as one HTML file that needs nothing else: no network, no folder beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from m2bench.tables import digits, percent, times

from .charts import Chart, NotDrawn
from .sentences import GLOSSARY, claims, headlines, recommendation, remarks
from .tables import (
    before_and_after_table,
    combinations_table,
    facts_table,
    groups_table,
    impact_remarks,
    impact_table,
    learning_table,
    phases_table,
    responses_table,
    starting_table,
    sweep_table,
)

Document = dict[str, Any]


def page(summary: Document, charts: Sequence[Chart | NotDrawn]) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("m2bench", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((files(__package__) / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js"))
    return environment.get_template("page.html.jinja").render(
        style=Markup(style),
        script=Markup(script),
        run=summary["run"],
        headlines=headlines(summary),
        advice=recommendation(summary),
        figures=_figures(summary),
        impact=impact_table(summary),
        glossary=GLOSSARY,
        impact_remarks=impact_remarks(summary),
        claims=claims(summary),
        learned=learning_table(summary),
        groups=groups_table(summary),
        responses=responses_table(summary),
        before_and_after=before_and_after_table(summary),
        phases=phases_table(summary),
        starting=starting_table(summary),
        combinations=combinations_table(summary),
        sweep=sweep_table(summary),
        swept=summary["sweep"] is not None,
        rows=_rows(summary),
        layers=[layer["name"] for layer in summary["layers"]],
        remarks=remarks(summary),
        facts=facts_table(summary),
        charts={chart.name: chart if isinstance(chart, NotDrawn) else _inline(chart) for chart in charts},
    )


def _inline(chart: Chart) -> Document:
    return {"title": chart.title, "reading": chart.reading, "svg": Markup(chart.svg)}


def _figures(summary: Document) -> list[tuple[str, str, str]]:
    """The few figures that a reader looks for first: what, the figure, how sure or compared with what."""
    best, noise = summary["best"], summary["noise"]
    figures = []
    if best is not None:
        figures.append(
            (
                "fastest over the baseline",
                times(best["speedup"]),
                _within(best["speedup_ci"]) or "no interval",
            )
        )
        figures.append(
            (
                "episodes per minute",
                digits(best["episodes_per_min"]),
                _within(best["episodes_per_min_ci"]) or "no interval",
            )
        )
    if summary["soonest_gain"] is not None:
        figures.append(
            ("sooner at the learning target", times(summary["soonest_gain"]), _within(summary["soonest_gain_ci"]) or "")
        )
    if noise["aa_ratio"] is not None:
        figures.append(("A/A test of identical trials", times(noise["aa_ratio"]), _within(noise["aa_ci"]) or ""))
    if noise["min_detectable"] is not None:
        figures.append(
            ("smallest main effect seen", percent_with_digit(noise["min_detectable"] - 1), "in 80 % of such runs")
        )
    figures.append(("trials done", str(summary["trials_done"]), f"of {summary['trials_planned']}"))
    return figures


def percent_with_digit(value: float) -> str:
    """A small share with one decimal."""
    return f"{value:.1%}" if value < 0.1 else percent(value)


def _within(interval: Sequence[float] | None) -> str | None:
    return None if interval is None else f"95 % interval {digits(interval[0])} to {digits(interval[1])}"


def _rows(summary: Document) -> list[Document]:
    """What sorting, filtering and hovering need of each combination, in the order of the combinations' table."""
    ranked = sorted(summary["combinations"], key=lambda c: -(c["speedup"] or 0.0))
    sorted_by = ("speedup", "episodes_per_min", "episodes_to_target", "time_to_target_s", "compile_s", "peak_memory_mb")
    return [
        {
            "layers": c["layers"],
            "keys": [
                rank,
                "+".join(c["layers"]),
                *(c[name] for name in (*sorted_by, "learning", "numerics", "status")),
            ],
            "trials": [
                f"{trial['key']}: {digits(trial['episodes_per_min'])} episodes/min"
                + ("" if trial["status"] == "ok" else f" ({trial['status']})")
                for trial in c["trials_behind"]
            ],
        }
        for rank, c in enumerate(ranked, 1)
    ]  # fmt: skip

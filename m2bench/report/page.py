"""The report as one HTML file that needs nothing else: no network, no folder beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from m2bench.text.figures import NOT_KNOWN, digits, is_known, within
from m2bench.text.tables import Table

from .charts import Chart, NotDrawn
from .sections import Part, Sentences, sections
from .sentences import headlines, recommendation, train_command, warnings
from .tables import CombinationsTable

Document = dict[str, Any]


def page(summary: Document, charts: Sequence[Chart | NotDrawn], folder: Path | None = None) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("m2bench", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((files(__package__) / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js"))
    environment.filters |= {"kind": _kind}
    environment.globals |= {"first": lambda table: table.droppable[: (len(table.droppable) + 1) // 2]}
    return environment.get_template("page.html.jinja").render(
        style=Markup(style),
        script=Markup(script),
        run=summary["run"],
        headlines=headlines(summary),
        warnings=warnings(summary),
        advice=recommendation(summary, folder),
        command=train_command(summary),
        figures=_figures(summary),
        sections=sections(summary, charts),
        rows=_rows(summary),
        layers=[layer["name"] for layer in summary["layers"]],
    )


def _kind(part: Part) -> str:
    """Which macro of the template shows it."""
    if isinstance(part, CombinationsTable):
        return "sortable"
    kinds: dict[type[Part], str] = {Table: "table", Chart: "chart", NotDrawn: "missing", Sentences: "sentences"}
    return kinds[type(part)]


def _figures(summary: Document) -> list[tuple[str, str, str]]:
    """The few figures that a reader looks for first: what, the figure, how sure or compared with what."""
    advice, noise = summary["recommended"], summary["noise"]
    figures = []
    if advice is not None:
        figures += [
            ("recommended over the baseline", *_apart(advice, "speedup", "x")),
            ("its episodes per minute", *_apart(advice, "episodes_per_min")),
        ]
        if advice["fastest"] is not None:
            figures.append(("fastest over the recommended", *_apart(advice["fastest"], "ratio", "x")))
    if summary["soonest_gain"] is not None:
        figures.append(("sooner at the learning target", *_apart(summary, "soonest_gain", "x")))
    if noise["aa_ratio"] is not None:
        figures.append(
            ("A/A test of identical trials", *_apart({**noise, "aa_ratio_ci": noise["aa_ci"]}, "aa_ratio", "x"))
        )
    if noise["min_detectable"] is not None:
        figures.append(("smallest main effect seen", f"{noise['min_detectable'] - 1:.1%}", "in 80 % of such runs"))
    return [*figures, ("speed trials done", str(summary["trials_done"]), f"of {summary['trials_planned']}")]


def _apart(document: Document, name: str, unit: str = "") -> tuple[str, str]:
    """A figure, and its interval in words."""
    if not is_known(document[f"{name}_ci"]):
        return NOT_KNOWN, "its interval is too wide to say anything"
    figure, *interval = within(document[name], document[f"{name}_ci"], unit).split(" [")
    return figure, f"95 % interval {interval[0][:-1].replace(', ', ' to ')}" if interval else "no interval"


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

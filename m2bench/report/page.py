"""The report as one HTML file that needs nothing else: no network, no folder beside it."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from m2bench.records.figure import value_of
from m2bench.summary.ablation_summary import Summary
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .charts.style import Chart, NotDrawn
from .content import Content, SectionPart, Sentences
from .tables.combinations import CombinationsTable, combinations_table, ranked_rows


def page(content: Content, summary: Summary | None = None) -> str:
    """The whole page; of an ablation with its combinations, which are sorted and filtered there."""
    environment = Environment(
        loader=PackageLoader("m2bench", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((files(__package__) / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js"))
    environment.filters |= {"kind": _kind}
    environment.globals |= {
        "first": lambda table: table.droppable[: (len(table.droppable) + 1) // 2],
        "ratio": Speed.of(summary.system).words.ratio if summary else "",
    }
    return environment.get_template("page.html.jinja").render(
        vars(content),
        style=Markup(style),
        script=Markup(script),
        rows=_rows(summary) if summary else [],
        layers=[layer.name for layer in summary.layers] if summary else [],
    )


def _kind(part: SectionPart) -> str:
    """Which macro of the template shows it."""
    if isinstance(part, CombinationsTable):
        return "sortable"
    kinds: dict[type[SectionPart], str] = {Table: "table", Chart: "chart", NotDrawn: "missing", Sentences: "sentences"}
    return kinds[type(part)]


def _rows(summary: Summary) -> list[dict[str, object]]:
    """What sorting, filtering and hovering need of each combination, in the order of the combinations' table."""
    rows: list[dict[str, object]] = []
    speed, columns = Speed.of(summary.system), combinations_table(summary).columns
    for rank, c in enumerate(ranked_rows(summary), 1):
        figures = {
            "#": rank,
            "layers": "+".join(c.layers),
            speed.words.ratio: value_of(c.speedup),
            speed.heading: value_of(speed.level(c.episodes_per_min)),
            f"{summary.system.unit.many} to target": value_of(c.learning.episodes_to_target),
            "to target s": value_of(c.learning.time_to_target_s),
            "compile s": value_of(c.compile_s),
            "memory MB": value_of(c.peak_memory_mb),
            "learning": c.learning.learning,
            "numerics": c.numerics.numerics,
            "status": c.status,
        }
        trials = [
            f"{trial.key}: {speed.said(trial.episodes_per_min)}"
            + ("" if trial.status == "ok" else f" ({trial.status})")
            for trial in c.trials_behind
        ]
        rows.append({"layers": c.layers, "keys": [figures[column] for column in columns], "trials": trials})
    return rows

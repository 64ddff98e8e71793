"""The report as one HTML file that needs nothing else: no network, no folder beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from m2bench.records.figure import Figure, value_of
from m2bench.records.summary import Summary
from m2bench.text.figures import NOT_KNOWN, is_known, value_and_interval
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .charts import Chart, NotDrawn
from .details import details
from .headline import headline
from .recommendation import recommendation, training_call
from .sections import SectionPart, Sentences, sections
from .sentences import warnings
from .tables.combinations import CombinationsTable, combinations_table, ranked


def page(summary: Summary, charts: Sequence[Chart | NotDrawn], folder: Path | None = None) -> str:
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
    environment.globals |= {
        "first": lambda table: table.droppable[: (len(table.droppable) + 1) // 2],
        "ratio": Speed.of(summary.system).words.ratio,
    }
    return environment.get_template("page.html.jinja").render(
        style=Markup(style),
        script=Markup(script),
        run=summary.run,
        headline=headline(summary, folder),
        details=details(summary),
        warnings=warnings(summary),
        advice=recommendation(summary, folder),
        call=training_call(summary),
        figures=_figures(summary),
        sections=sections(summary, charts),
        rows=_rows(summary),
        layers=[layer.name for layer in summary.layers],
    )


def _kind(part: SectionPart) -> str:
    """Which macro of the template shows it."""
    if isinstance(part, CombinationsTable):
        return "sortable"
    kinds: dict[type[SectionPart], str] = {Table: "table", Chart: "chart", NotDrawn: "missing", Sentences: "sentences"}
    return kinds[type(part)]


def _figures(summary: Summary) -> list[tuple[str, str, str]]:
    """The few figures that a reader looks for first: what, the figure, how sure or compared with what."""
    advice, repeats, least = summary.recommended, summary.noise.repeats, summary.noise.min_detectable
    speed = Speed.of(summary.system)
    level = speed.level(advice and advice.episodes_per_min)
    named: list[tuple[str, Figure | None, str]] = [
        (f"{speed.words.ratio} of the recommended set", advice and advice.speedup, "x"),
        (f"its {speed.in_words}", level, f" {speed.label}" if speed.is_time else ""),
        (f"{speed.words.best} over recommended", advice and advice.fastest and advice.fastest.ratio, "x"),
        ("sooner at the learning target", summary.soonest_gain, "x"),
        ("A/A test of identical trials", repeats.aa_ratio, "x"),
    ]
    figures = [(what, *_in_words(figure, unit, figure is level)) for what, figure, unit in named if figure]
    if least is not None:
        figures.append(("smallest detectable main effect", f"{least - 1:.1%}", "in 80 % of such runs"))
    return [*figures, (f"{speed.words.trial}s done", str(summary.trials_done), f"of {summary.trials_planned}")]


def _in_words(figure: Figure, unit: str, fine: bool) -> tuple[str, str]:
    """A figure, and its interval in words."""
    if not is_known(figure, unit):
        return NOT_KNOWN, "its interval is too wide"
    value, interval = value_and_interval(figure, unit, fine)
    return value, f"95 % interval {interval.replace(', ', ' to ')}" if interval else "no interval"


def _rows(summary: Summary) -> list[dict[str, object]]:
    """What sorting, filtering and hovering need of each combination, in the order of the combinations' table."""
    rows: list[dict[str, object]] = []
    speed, columns = Speed.of(summary.system), combinations_table(summary).columns
    for rank, c in enumerate(ranked(summary), 1):
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

"""What the report of an ablation says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2bench.records.figure import Figure
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import NOT_KNOWN, is_known, value_and_interval
from m2bench.text.speed import Speed

from .charts import Chart, NotDrawn
from .content import Content
from .details import details
from .headline import headline
from .recommendation import recommendation, training_call
from .sections import sections
from .sentences import warnings


def ablation_content(summary: Summary, charts: Sequence[Chart | NotDrawn] = (), folder: Path | None = None) -> Content:
    """``folder``: that of the run, for the commands that continue it."""
    return Content(
        run=summary.run,
        headline=headline(summary, folder),
        warnings=warnings(summary.machine, summary.noise.conditions.warnings),
        details=details(summary),
        advice=recommendation(summary, folder),
        call=training_call(summary),
        figures=_figures(summary),
        sections=sections(summary, charts),
    )


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

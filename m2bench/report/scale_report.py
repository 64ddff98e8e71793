"""What the report of a run of ``scale`` says: where to train, by sentences, tables and charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2bench.records.combinations import combination_name
from m2bench.summary.scale_summary import ScaleSummary
from m2bench.text.figures import is_known, times_within

from .charts.lines import draw_lines
from .charts.style import Chart, NotDrawn
from .content import Content, Sentences, sections_of
from .sentences import counted, warnings
from .tables.places import limits_table, lines_table
from .where_to_train import fastest_of_all, how_sure, limited, line_in_words, soonest_point, where_to_train


def scale_content(
    summary: ScaleSummary, charts: Sequence[Chart | NotDrawn] = (), folder: Path | None = None
) -> Content:
    """``folder``: that of the run, for the command that continues it."""
    drawn = {chart.name: chart for chart in charts}
    return Content(
        run=summary.run,
        headline=(where_to_train(summary), how_sure(summary, folder)),
        sections=sections_of(
            [
                ("where", "Where to train", (lines_table(summary), drawn.get("lines"))),
                ("limits", "What limits it", (limits_table(summary),)),
                ("sure", "How sure is this", (Sentences(_remarks(summary)),)),
            ]
        ),
        warnings=warnings(summary.machine, summary.warnings),
        details=[line for line in (fastest_of_all(summary), soonest_point(summary), *limited(summary)) if line],
    )


def _remarks(summary: ScaleSummary) -> list[str]:
    blocks = summary.workload.spec.blocks
    found = [
        f"Every point is a process of its own, once in each of {counted(blocks, 'block')}, in random order between two "
        "baselines.",
        "Places are compared within blocks, so that what the machine did meanwhile falls on all alike; the intervals "
        "hold for all comparisons at once.",
        "A crossing lies between the nearest sizes at which both leads are shown; the number in the first sentence is "
        "where the means cross, as straight lines on logarithms.",
    ]
    ratio = summary.repeats.aa_ratio
    if ratio is not None and is_known(ratio):
        found.append(f"Identical baselines: {times_within(ratio)} of each other, which ought to be 1x.")
    if summary.repeated_trials:
        found.append(f"{counted(summary.repeated_trials, 'trial')} beside other load ran again.")
    if any("no result after" in (point.reason or "") for line in summary.lines for point in line.points):
        found.append(
            "A trial without a result in its time may have been compiling: give it more with --trial-timeout, or leave "
            "the layer that compiles out of --with."
        )
    return found


def draw_scale_charts(summary: ScaleSummary) -> list[Chart | NotDrawn]:
    """Speed by size, a line per place and combination."""
    labels = [f"{combination_name(line.layers)}, {line_in_words(line)}".rstrip(", ") for line in summary.lines]
    return [draw_lines(summary, labels, where_to_train(summary))]

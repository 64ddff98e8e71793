"""The report on a run on several machines: what layers are worth on each kind, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2bench.store.fleet import FleetEvent
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.machines_summary import SideBySide
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .charts import Chart, NotDrawn
from .content import Content, SectionPart, Sentences, sections_of
from .headline import headline
from .machines_report import difference_title, differences, layers_across_table


def side_by_side_content(run: str, found: SideBySide, chart: Chart | NotDrawn | None) -> Content:
    """What is said of any runs side by side."""
    machines = Table("Measured on", ("run", "machine"), [*zip(found.runs, found.machines, strict=True)], frozenset())
    parts = [
        ("layers", "What pays where", (layers_across_table(found), chart)),
        ("machines", "The machines", (machines,)),
    ]
    return Content(run, (difference_title(found), " ".join(differences(found))), sections_of(parts))


def fleet_content(
    run: str, found: SideBySide, chart: Chart | NotDrawn | None, kinds: Mapping[str, Summary],
    events: Sequence[FleetEvent],
) -> Content:  # fmt: skip
    """What is said of a run on several machines. ``kinds``: what each kind of machine has found, by its name.

    Below a headline: what differs between kinds, where there are several.
    """
    heads = [f"{name}: {headline(summary, None)[0]}" for name, summary in kinds.items()]
    told = [f"{event.time} {event.machine}: {event.text}" for event in events]
    parts: list[tuple[str, str, tuple[SectionPart | None, ...]]] = [
        ("layers", "What pays where", (layers_across_table(found), chart)),
        ("kinds", "Each kind of machine", (Sentences(heads), _kinds(found, kinds))),
        ("happened", "What happened", (Sentences(told) if told else None,)),
    ]
    several = len(kinds) > 1
    lines = (difference_title(found), " ".join(differences(found))) if several else (heads[0], "")
    return Content(run, lines, sections_of(parts))


def _kinds(found: SideBySide, kinds: Mapping[str, Summary]) -> Table:
    """What each kind is, how much of it was measured, and what its report says in detail."""
    rows = []
    for machine, (name, summary) in zip(found.machines, kinds.items(), strict=True):
        speed, baseline = Speed.of(summary.system), next(c for c in summary.combinations if not c.layers)
        done, level = f"{summary.trials_done} of {summary.trials_planned}", speed.within(baseline.episodes_per_min)
        rows.append((name, machine, done, level, f"{name}/report.html"))
    heading = Speed.of(next(iter(kinds.values())).system).heading
    columns = ("kind", "machine", "trials", f"baseline {heading}", "its report")
    return Table("Kinds of machines", columns, rows, frozenset(columns[2:4]))

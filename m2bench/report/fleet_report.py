"""The report on a run on several machines: what layers are worth on each kind, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2bench.store.fleet import FleetEvent
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.machines_summary import SideBySide
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .charts import Chart, NotDrawn
from .content import Content, Section, SectionPart, Sentences
from .headline import headline
from .machines_report import differences, layers_across_table


def side_by_side_content(run: str, found: SideBySide, chart: Chart | NotDrawn | None) -> Content:
    """What is said of any runs side by side."""
    return _content(run, " ".join(differences(found)), (), [_layers(found, chart), _machines(found)])


def fleet_content(
    run: str, found: SideBySide, chart: Chart | NotDrawn | None, kinds: Mapping[str, Summary],
    events: Sequence[FleetEvent],
) -> Content:  # fmt: skip
    """What is said of a run on several machines. ``kinds``: what each kind of machine has found, by its name."""
    sections = [_layers(found, chart), Section("kinds", "Each kind of machine", (_kinds(found, kinds),))]
    if events:
        told = [f"{event.time} {event.machine}: {event.text}" for event in events]
        sections.append(Section("happened", "What happened", (Sentences(told),)))
    heads = " ".join(f"{name}: {headline(summary, None)[0]}" for name, summary in kinds.items())
    said = differences(found) if len(kinds) > 1 else []
    return _content(run, heads, said, sections)


def _content(run: str, first: str, differences: Sequence[str], sections: Sequence[Section]) -> Content:
    """Below a headline: what each machine does best, and what differs."""
    return Content(run, (first, " ".join(differences)), (), (), (), None, (), sections)


def _layers(found: SideBySide, chart: Chart | NotDrawn | None) -> Section:
    parts: tuple[SectionPart | None, ...] = (layers_across_table(found), chart)
    return Section("layers", "What pays where", tuple(part for part in parts if part is not None))


def _machines(found: SideBySide) -> Section:
    rows = [*zip(found.runs, found.machines, strict=True)]
    return Section("machines", "The machines", (Table("Measured on", ("run", "machine"), rows, frozenset()),))


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

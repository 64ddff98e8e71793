"""What a report holds, in the order in which a reader asks; whoever shows it says how each kind of part looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from m2bench.summary.ablation_summary import Summary
from m2bench.text.tables import Table

from .charts.style import Chart, NotDrawn
from .content import Section, SectionPart, Sentences, sections_of
from .remarks import remarks
from .sentences import claims, marked, tells_of_learning
from .tables.before_and_after import before_and_after_table
from .tables.combinations import combinations_table
from .tables.facts import facts_table
from .tables.impact import impact_table
from .tables.interactions import interactions_table
from .tables.learning import learning_table
from .tables.learning_groups import groups_table
from .tables.metrics import metrics_table
from .tables.phases import phases_table
from .tables.responses import responses_table
from .tables.starting import starting_table


def sections(summary: Summary, charts: Sequence[Chart | NotDrawn] = ()) -> list[Section]:
    """All sections below a report's head, without parts that this run has nothing of; charts only if they are given."""
    found, untold, judged = {chart.name: chart for chart in charts}, _untold(summary), claims(summary)

    def drawn(name: str) -> Chart | NotDrawn | None:
        """The chart, or why this run has none; None for one of what the system does not report."""
        chart = found.get(name)
        return None if isinstance(chart, NotDrawn) and name in untold else chart

    parts: dict[tuple[str, str], tuple[SectionPart | None, ...]] = {
        ("pays", "What pays"): (
            impact_table(summary), drawn("contributions"), drawn("claims"),
            Sentences(judged, "The claims, one by one") if judged else None,
        ),
        ("learning", "Does it still learn"): (
            learning_table(summary), drawn("learning"), groups_table(summary), drawn("throughput-and-learning"),
        ),
        ("time", "Before and after" if "phases" in untold else "Where the time goes"): (
            before_and_after_table(summary), drawn("roofline"), drawn("phases"), phases_table(summary),
            responses_table(summary), starting_table(summary),
        ),
        ("combinations", "All combinations"): (
            combinations_table(summary), metrics_table(summary), drawn("combinations"), drawn("interactions"),
            interactions_table(summary),
        ),
        ("sure", "How sure is this"): (drawn("noise"), Sentences(remarks(summary))),
        ("machine", "Machine and workload"): (facts_table(summary),),
    }  # fmt: skip
    return sections_of((*named, [_marked(part, summary) for part in given]) for named, given in parts.items())


def _untold(summary: Summary) -> set[str]:
    """The charts of what the system does not report."""
    told = {
        "claims": any(layer.claim.claim for layer in summary.layers),
        "learning": tells_of_learning(summary),
        "throughput-and-learning": tells_of_learning(summary),
        "roofline": bool(summary.bytes_per_s) and any(c.usage.flops_per_byte for c in summary.combinations),
        "phases": any(c.usage.phase_ms_per_episode for c in summary.combinations),
    }
    return {name for name, is_told in told.items() if not is_told}


def _marked(part: SectionPart | None, summary: Summary) -> SectionPart | None:
    """A table with its title marked where no figure can be trusted; a chart is marked when it is drawn."""
    return replace(part, title=marked(part.title, summary)) if isinstance(part, Table) else part

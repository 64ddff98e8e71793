"""What each layer was claimed and measured to do."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from m2bench.findings.losses import CHECK as LOSSES
from m2bench.records.combinations import combination_name
from m2bench.report.sentences import counted, listed, rules_in_words, tells_of_learning, together
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import LayerRow
from m2bench.text.figures import NOTHING, percent_within, times_within
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .combinations import outcome_of
from .notes import turned_round


def impact_table(summary: Summary) -> Table:
    """One row per layer: what was claimed and what was measured."""
    at_work = _at_work(summary)
    rows: list[tuple[str, ...]] = [
        (
            layer.name,
            layer.difficulty or NOTHING,
            layer.claim.claim_text or NOTHING,
            times_within(layer.speed.alone),
            times_within(layer.speed.last),
            times_within(layer.speed.shapley) + ("*" if layer.speed.model_based else ""),
            percent_within(layer.speed.share),
            times_within(layer.time_to_target),
            times_within(layer.responses.peak_memory_mb.alone),
            layer.learning.learning,
            _numerics_of(layer, summary),
            at_work.get(layer.name, NOTHING),
            layer.verdict or NOTHING,
        )
        for layer in summary.layers
    ]
    total, speed = times_within(summary.total_speedup), Speed.of(summary.system)
    if summary.total_speedup is not None:
        rows.append((together(summary), *[""] * 4, total, *[""] * 7))
    columns = ("layer", "difficulty", "claimed", "alone", "added last", "Shapley", "share", "time to target", "memory",
               "learning", "numerics", "at work", "verdict")  # fmt: skip
    table = Table(
        title=f"Effect of each layer on {speed.compared}: ratio [95 % interval], 1.00x is no effect",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[3:9]),
        droppable=("difficulty", "memory", "time to target", "share", "at work", "numerics", "added last", "learning",
                    "claimed", "Shapley"),
    ).without_empty_columns()  # fmt: skip
    notes = (
        *_glossary(table, summary),
        *turned_round(speed),
        *_rules_remark(summary),
        *(_without_target(summary) if "time to target" in table.columns else ()),
        *_untold(summary),
        *_impact_remarks(summary),
    )
    return replace(table, notes=notes)


GLOSSARY = {
    "alone": "this layer over the baseline.",
    "added last": "all layers over all but this one.",
    "Shapley": "the layer's part of the total, averaged over all orders of switching the layers on; the parts multiply "
    "to the total.",
    "share": "the layer's share of the logarithm of the total; where some layers cost speed, the gains add up to more "
    "than 100 %.",
    "time to target": "how many times sooner than the baseline the layer alone reaches the target.",
    "memory": "peak memory of the layer alone over the baseline's.",
}
"""What the columns of the impact table are."""
OF_VERDICTS = "verdict: on the claimed speed, from the layer alone."
OF_OTHER_CLAIMS = " Claims on memory and stability are judged one by one below."


def _without_target(summary: Summary) -> list[str]:
    """What the time to the target is where learning is compared without a target."""
    told = summary.learning.told
    return (
        [f"time to target: here the time to the same mean {told}, over equal {summary.system.unit.many}."]
        if told
        else []
    )


def _rules_remark(summary: Summary) -> list[str]:
    """What the columns mean where layers need or exclude each other."""
    rules = summary.rules
    if not rules:
        return []
    return [
        f"{rules_in_words(rules)}. So alone: the layer with what it needs, over what it needs. added last: in the "
        "fullest combination in which nothing needs the layer. Shapley: over the orders in which a layer comes after "
        "what it needs. Of layers that exclude each other the first is in the total, and the figures of the others are "
        "in its place."
    ]


def _glossary(table: Table, summary: Summary) -> list[str]:
    """What the columns are that this table has."""
    said = [f"{column}: {what}" for column, what in GLOSSARY.items() if column in table.columns]
    claims_more = any(re.search("memory|stability", layer.claim.claim_text or "") for layer in summary.layers)
    verdicts = [OF_VERDICTS + OF_OTHER_CLAIMS * claims_more] if "verdict" in table.columns else []
    return [f"{' '.join(said)} Brackets: 95 % intervals.", *verdicts]


def _numerics_of(layer: LayerRow, summary: Summary) -> str:
    """Whether no combination with the layer could be checked; other results stand beside the combinations."""
    found = {c.numerics.numerics for c in summary.combinations if layer.name in c.layers}
    return "unchecked" if found - {None} == {"unchecked"} else NOTHING


def _at_work(summary: Summary) -> dict[str, str]:
    """Whether each layer did anything, but of one whose trials all failed; nothing where all of them did."""
    found: dict[str, str] = {x.name: x.engagement.engagement for x in summary.layers if not _only_failed(x, summary)}
    return found if set(found.values()) != {"engaged"} else {}


def _only_failed(layer: LayerRow, summary: Summary) -> bool:
    return all(c.status == "failed" and not c.trials_ok for c in summary.combinations if layer.name in c.layers)


def _untold(summary: Summary) -> list[str]:
    """What the system does not report, so that nothing can be said of it."""
    unproved: dict[str, list[str]] = defaultdict(list)
    for layer in summary.layers:
        if layer.engagement.engagement == "unproved" and not _only_failed(layer, summary):
            unproved[layer.engagement.engagement_reason].append(layer.name)
    said = []
    is_compared = any(LOSSES in (c.numerics.checks or {}) for c in summary.combinations)
    if not is_compared and any(_numerics_of(layer, summary) != NOTHING for layer in summary.layers):
        said.append("numerics: unchecked, since the system does not report what its combinations compute.")
    if not tells_of_learning(summary):
        said.append(f"learning: not told, since {summary.system.no_target_because}.")
    doubted = [f"at work: unproved ({', '.join(names)}), since {reason}." for reason, names in unproved.items()]
    return [*([" ".join(said)] if said else []), *doubted]


def _impact_remarks(summary: Summary) -> list[str]:
    """Why a figure of the impact table is missing or to be doubted."""
    remarks = [f"{layer.name}: {remark}" for layer in summary.layers if (remark := _remark(layer, summary))]
    remarks += [
        f"{layer.name}: the verdict is on the {layer.claim.claim_phase} alone, {times_within(layer.claimed_effect)}."
        for layer in summary.layers
        if layer.claim.claim_phase and layer.claimed_effect is not None
    ]
    if any(layer.speed.model_based for layer in summary.layers):
        remarks.append(
            "* from a model of main effects alone. They may include interactions of layers, which this design is too "
            "small to separate."
            if summary.main_effects_mixed
            else "* missing combinations are predicted by a model of main effects and pairs, whose error on the "
            "measured ones widens the interval."
        )
    missing = sum(not c.trials for c in summary.combinations)
    if missing:
        remarks.append(
            f"{missing} of {counted(len(summary.combinations), 'combination')} have not been run yet; a dash stands "
            "for figures that need them."
        )
    untied = sum(c.trials_ok > 0 and c.speedup is None and c.status == "ok" for c in summary.combinations)
    if untied:
        remarks.append(f"{counted(untied, 'combination')} with trials but no figure: too many baseline trials failed.")
    return remarks


SAID_OF_ENGAGEMENT = {"not-engaged": "not-engaged", "outside torch": "works outside of torch"}


def _remark(layer: LayerRow, summary: Summary) -> str:
    if layer.reason:
        return f"cannot run here: {layer.reason}"
    engagement = layer.engagement
    if engagement.engagement in SAID_OF_ENGAGEMENT:
        return f"{SAID_OF_ENGAGEMENT[engagement.engagement]}: {engagement.engagement_reason}"
    names, rules = tuple(other.name for other in summary.layers), summary.rules
    behind = (rules.alone(layer.name, names)[0], *rules.last(layer.name, names))
    found = [c for layers in behind for c in summary.combinations if c.layers == layers]
    idle = {other.name for other in summary.layers if other.engagement.engagement == "not-engaged"}
    # Of those with a layer that did nothing it is said why.
    troubled = [c for c in found if c.trials and outcome_of(c) != "ok" and idle.isdisjoint(c.layers)]
    if troubled:
        own = [outcome_of(c) for c in troubled if c.layers == (layer.name,)]
        others = dict.fromkeys(combination_name(c.layers) for c in troubled if c.layers != (layer.name,))
        missing = (
            f"what needs {listed([*others])} is not known: the table of all combinations says why" if others else ""
        )
        return "; ".join(filter(None, [*dict.fromkeys(own), missing]))
    if layer.speed.alone is None and layer.speed.last is None and all(c.trials for c in found):
        return "not measured by this design"
    return ""

"""The tables of a report, from the summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from m2bench.findings.losses import CHECK as LOSSES
from m2bench.records.combinations import combination_name
from m2bench.records.description import Facts
from m2bench.records.figure import Figure
from m2bench.records.rows import CombinationRow, LayerRow, LearningOfLayer, Metric, Responses
from m2bench.records.summary import Interaction, LearningGroup, Summary
from m2bench.text.figures import (
    NOT_KNOWN,
    NOTHING,
    digits,
    is_known,
    percent_within,
    times_within,
    within,
)
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .charts.interactions import SIGNIFICANT
from .sentences import (
    compared,
    counted,
    is_own_program,
    listed,
    rules_in_words,
    rules_of,
    tells_of_learning,
    together,
)


def starting_table(summary: Summary) -> Table | None:
    """What training costs before it runs at its speed, of the plainest combinations and of those looked at closely."""
    names, units = tuple(layer.name for layer in summary.layers), summary.system.unit.many
    chosen = dict.fromkeys([(), *((name,) for name in names), names, *(c.layers for c in compared(summary).values())])
    found = {c.layers: c for c in summary.combinations if c.trials_ok}
    shown = [found[layers] for layers in chosen if layers in found]
    if not shown:
        return None
    columns: dict[str, Callable[[CombinationRow], str]] = {
        "set-up": lambda c: within(c.setup_s),
        "warm-up": lambda c: within(c.warmup_s),
    }
    notes = [OVER_TRIALS]
    if any(c.compile_cold_s is not None for c in shown):
        columns["first compilation"] = lambda c: digits(c.compile_cold_s)
        notes.append("First compilation: with an empty cache. It happens once per machine, so it has no interval.")
    if any(c.compile_s is not None for c in shown):
        columns["compiling from the cache"] = lambda c: within(c.compile_s)
    if len(columns) > 2:
        columns[f"pays back after, {units}"] = _pays_back
        notes.append(
            f"Pays back after: {units} until compiling (from the cache, where that is known) has saved the time it "
            "took, with the interval that follows from the gain. A dash: nothing to compile."
        )
    table = Table(
        title="Start-up time in seconds",
        columns=("layers", *columns),
        rows=[(combination_name(c.layers), *(cell(c) for cell in columns.values())) for c in shown],
        numeric=frozenset(columns),
        droppable=tuple(columns)[:-1],
        notes=tuple(notes),
    ).told()
    return table if len(table.columns) > 1 else None


OVER_TRIALS = (
    "Brackets: 95 % t intervals over the trials of a combination. A figure without brackets is from one trial, or was "
    "0 in some."
)


def _pays_back(combination: CombinationRow) -> str:
    if combination.compile_s is None and combination.compile_cold_s is None:
        return NOTHING
    known = combination.break_even_episodes if combination.compile_s else combination.break_even_cold_episodes
    return "not shown" if known is None else within(known)


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
    ).told()  # fmt: skip
    notes = (
        *_glossary(table),
        *turned_round(speed),
        *_rules_remark(summary),
        *_without_target(summary),
        *_untold(summary),
        *_impact_remarks(summary),
    )
    return replace(table, notes=notes)


GLOSSARY = {
    "alone": "this layer over the baseline.",
    "added last": "all layers over all but this one.",
    "Shapley": "the layer's part of the total, averaged over all orders of switching the layers on; the parts multiply "
    "to the total.",
    "share": "the layer's share of the logarithm of the total; gains add up to more than 100 % if other layers cost.",
    "time to target": "how many times sooner than the baseline the layer alone reaches the target.",
    "memory": "peak memory of the layer alone over the baseline's.",
}
"""What the columns of the impact table are."""
OF_VERDICTS = (
    "verdict: on the claimed speed, from the layer alone. Claims on memory and stability are judged one by one below."
)


def _without_target(summary: Summary) -> list[str]:
    """What stands for the time to the target where learning is compared without one."""
    told = summary.learning.told
    return [f"time to target: here that to the same mean {told} over equal {summary.system.unit.many}."] if told else []


def _rules_remark(summary: Summary) -> list[str]:
    """What the columns mean where layers need or exclude each other."""
    rules = rules_of(summary)
    if not rules:
        return []
    return [
        f"{rules_in_words(rules)}. So alone: the layer with what it needs, over what it needs. added last: in the "
        "fullest combination in which nothing needs the layer. Shapley: over the orders in which a layer comes after "
        "what it needs. Of layers that exclude each other the first is in the total, and the figures of the others are "
        "in its place."
    ]


def _glossary(table: Table) -> list[str]:
    """What the columns are that this table has."""
    said = [f"{column}: {what}" for column, what in GLOSSARY.items() if column in table.columns]
    return [f"{' '.join(said)} Brackets: 95 % intervals.", *([OF_VERDICTS] if "verdict" in table.columns else [])]


def turned_round(speed: Speed) -> list[str]:
    """How ratios are to be read where less is better."""
    is_turned = speed.rate.is_metric and speed.rate.lower_is_better
    return [f"Ratios are of {speed.compared}: above 1.00x, {speed.label} is lower."] if is_turned else []


def _numerics_of(layer: LayerRow, summary: Summary) -> str:
    """That nothing is known of what is computed with the layer; what is known stands beside the combinations."""
    found = {c.numerics.numerics for c in summary.combinations if layer.name in c.layers}
    return "unchecked" if "unchecked" in found else NOTHING


def _at_work(summary: Summary) -> dict[str, str]:
    """Whether each layer did anything; nothing where all of them did."""
    found: dict[str, str] = {layer.name: layer.engagement.engagement for layer in summary.layers}
    return found if set(found.values()) != {"engaged"} else {}


def _untold(summary: Summary) -> list[str]:
    """What the system does not tell, and so nothing is said of."""
    ran = {layer for c in summary.combinations if c.trials_ok for layer in c.layers}
    unproved: dict[str, list[str]] = defaultdict(list)
    for layer in summary.layers:
        if layer.name in ran and layer.engagement.engagement == "unproved":
            unproved[layer.engagement.engagement_reason].append(layer.name)
    said = []
    is_compared = any(LOSSES in (c.numerics.checks or {}) for c in summary.combinations)
    if not is_compared and any(_numerics_of(layer, summary) != NOTHING for layer in summary.layers):
        said.append("numerics: unchecked, since the system does not tell what its combinations compute.")
    if not tells_of_learning(summary):
        said.append(f"learning: not told, since {summary.system.no_target_because}.")
    said += [f"at work: unproved ({', '.join(names)}), since {reason}." for reason, names in unproved.items()]
    return [" ".join(said)] if said else []


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
    names, rules = tuple(other.name for other in summary.layers), rules_of(summary)
    behind = (rules.alone(layer.name, names)[0], *rules.last(layer.name, names))
    found = [c for layers in behind for c in summary.combinations if c.layers == layers]
    idle = {other.name for other in summary.layers if other.engagement.engagement == "not-engaged"}
    troubled = [
        f"{combination_name(c.layers)}: {_outcome(c)}"
        for c in found
        if c.trials and _outcome(c) != "ok" and idle.isdisjoint(c.layers)  # of those it is said why
    ]
    if troubled:
        return "; ".join(dict.fromkeys(troubled))
    if layer.speed.alone is None and layer.speed.last is None and all(c.trials for c in found):
        return "not measured by this design"
    return ""


def ranked(summary: Summary) -> list[CombinationRow]:
    """The combinations by their speedup, the fastest first; those without a figure last."""
    return sorted(summary.combinations, key=lambda c: -(c.speedup.value if c.speedup else 0.0))


def combinations_table(summary: Summary) -> Table:
    """One row per combination, the best first; those without a figure last."""
    speed, tells = Speed.of(summary.system), tells_of_learning(summary)
    rows = [
        (
            str(rank),
            combination_name(c.layers),
            times_within(c.speedup),
            speed.within(c.episodes_per_min),
            within(c.learning.episodes_to_target),
            within(c.learning.time_to_target_s) + ("*" if c.learning.time_to_target_modelled else ""),
            _compile_s(c),
            within(c.peak_memory_mb),
            (tells and c.learning.learning) or NOTHING,
            NOTHING if c.numerics.numerics in (None, "unchecked") else c.numerics.numerics,
            _status(c),
        )
        for rank, c in enumerate(ranked(summary), 1)
    ]
    level, to_target = speed.heading, f"{summary.system.unit.many} to target"
    numbers = ("#", speed.words.ratio, level, to_target, "to target s", "compile s", "memory MB")
    table = CombinationsTable(
        title=f"All {len(rows)} combinations, {speed.words.best} first",
        columns=("#", "layers", *numbers[1:], "learning", "numerics", "status"),
        rows=rows,
        numeric=frozenset(numbers),
        droppable=("memory MB", "compile s", to_target, "#", level, "to target s", "learning",
                   "numerics"),
    ).told()  # fmt: skip
    return replace(table, notes=(_of_brackets(table, speed, to_target), *turned_round(speed)))


def _of_brackets(table: Table, speed: Speed, to_target: str) -> str:
    """What the intervals of the combinations' table rest on, by the columns that it has."""
    compiling, learning = "compile s" in table.columns, to_target in table.columns
    own = [*["memory"] * ("memory MB" in table.columns), *["compiling"] * compiling]
    said = [
        f"Those of {speed.words.ratio} and {speed.heading} use the noise of all trials",
        *([f"those of {listed(own)} the trials of the combination"] if own else []),
        *[f"those of {to_target} the seeds"] * learning,
    ]
    cold = " Compiling with an empty cache (cold) happens once and has none." if compiling else ""
    return f"Brackets: 95 % intervals. {', '.join(said)}.{cold}"


def metrics_table(summary: Summary) -> Table | None:
    """One row per combination: every metric that it tells, and what that is over the baseline's."""
    told = {c.layers: {metric.name: metric for metric in c.metrics} for c in ranked(summary) if c.metrics}
    names = dict.fromkeys(name for metrics in told.values() for name in metrics)
    if len(names) < 2:
        return None
    columns = [column for name in names for column in (name, f"{name}: ratio")]
    return Table(
        title=f"Metrics of each combination (ranked by {next(iter(names))})",
        columns=("layers", *columns),
        rows=[
            (combination_name(layers), *(cell for name in names for cell in _cells(metrics.get(name))))
            for layers, metrics in told.items()
        ],
        numeric=frozenset(columns),
        droppable=tuple(columns[:1:-1]),
        notes=(
            "ratio: over the baseline's, of the metric itself, whether more or less of it is better. Brackets: 95 % "
            "intervals. A metric that is 0 or less in some trial has no ratio.",
        ),
    ).told()


def _cells(metric: Metric | None) -> tuple[str, str]:
    return (NOTHING, NOTHING) if metric is None else (within(metric.level, fine=True), times_within(metric.ratio))


class CombinationsTable(Table):
    """The one table that is long enough to be sorted and filtered."""


def _compile_s(combination: CombinationRow) -> str:
    """Seconds of compiling with a warm cache, or marked as cold where no trial found one."""
    if combination.compile_s is None and combination.compile_cold_s is not None:
        return f"{digits(combination.compile_cold_s)} cold"
    return within(combination.compile_s)


def _status(combination: CombinationRow) -> str:
    """The outcome, and whether its timed windows ended in a steady state."""
    unsteady = combination.trials_ok - combination.steady_trials
    return _outcome(combination) + (
        f", not steady in {unsteady} of {counted(combination.trials_ok, 'trial')}" if unsteady else ""
    )


def _outcome(combination: CombinationRow) -> str:
    if combination.status == "ok":
        return "ok" if combination.has_sound_numerics else f"ok, but {combination.numerics.numerics_reason}"
    if combination.trials_ok:
        counts = f"{combination.trials_ok} of {counted(combination.trials, 'trial')} ok"
        return f"{combination.status}: {combination.reason}; {counts}"
    return ": ".join(part for part in (combination.status or "missing", combination.reason) if part)


def learning_table(summary: Summary) -> Table | None:
    """One row per layer: what its speed is worth once the units that learning takes are counted."""
    if not tells_of_learning(summary):
        return None
    units, told, target = summary.system.unit.many, summary.learning.told, summary.learning.target
    measure = told or (target.measure if target and target.is_told else "return")
    sooner = "time to target" if told is None else f"time to same {told}"
    level, needed = Speed.of(summary.system).compared, f"{units} needed"
    rows = [
        (
            layer.name,
            times_within(layer.speed.alone),
            times_within(layer.learning.episodes_needed),
            times_within(layer.time_to_target),
            _gain_surviving(layer),
            layer.learning.learning,
            _learning_remark(layer.learning, measure),
        )
        for layer in summary.layers
    ]
    columns = ("layer", level, needed, sooner, "gain surviving", "learning", "because")
    return Table(
        title=f"Effect of each layer alone on learning, as ratios ({sooner}: above 1 is sooner)",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[1:5]),
        droppable=("because", level, "gain surviving", needed),
    )


def _gain_surviving(layer: LayerRow) -> str:
    """Of a gain in speed that is shown, what is left as time to target; a loss on the whole is called one."""
    is_gain = layer.speed.alone is not None and layer.speed.alone.shows_gain
    if not is_gain or layer.time_to_target is None:
        return NOTHING
    if layer.time_to_target.value > 1:
        return percent_within(layer.gain_surviving)
    return "net loss" if layer.time_to_target.shows_loss else "net loss, not shown"


RESPONSES: dict[str, Callable[[Responses], Figure | None]] = {
    "seconds to target (Shapley)": lambda found: found.time_to_target_s.shapley,  # alone, it is in the impact table
    "memory (alone)": lambda found: found.peak_memory_mb.alone,
    "memory (Shapley)": lambda found: found.peak_memory_mb.shapley,
    "energy (alone)": lambda found: found.energy_j_per_episode.alone,
    "energy (Shapley)": lambda found: found.energy_j_per_episode.shapley,
}


def responses_table(summary: Summary) -> Table | None:
    """One row per layer: what it does to everything that was measured besides the speed."""
    columns = [name for name, of in RESPONSES.items() if any(of(layer.responses) for layer in summary.layers)]
    if not columns:
        return None
    rows = [
        (layer.name, *(times_within(RESPONSES[name](layer.responses)) for name in columns)) for layer in summary.layers
    ]
    return Table(
        title="Effect of each layer on other costs: ratio [95 % interval], below 1.00x is less",
        columns=("layer", *columns),
        rows=rows,
        numeric=frozenset(columns),
        droppable=tuple(columns[1:]),
    )


def _learning_remark(found: LearningOfLayer, measure: str) -> str:
    effect = found.learning_effect
    if effect is None or effect.interval is None:
        return found.learning_reason
    low, high = effect.interval
    change = f"{effect.value:+.0%} [{low:+.0%}, {high:+.0%}]" if is_known(effect.percent(), "%") else NOT_KNOWN
    what = "learned" if measure == "loss" else "return"  # a loss falls, and below 0 is less
    return f"{found.learning_reason}: {what} {change}, {counted(found.learning_seeds, 'seed')}"


def groups_table(summary: Summary) -> Table | None:
    """One row per group of combinations that learn alike: the units they need to the target."""
    cells = summary.learning.cells
    if not cells:
        return None
    rows = [
        (
            str(cell.episodes_per_update),
            combination_name(cell.layers),
            f"{cell.reached} of {cell.trials}",
            _episodes_to_target(cell),
            "-".join(f"{episodes:,.0f}" for episodes in cell.episodes_to_target_range or ()) or NOTHING,
        )
        for cell in cells
    ]
    units = summary.system.unit.many
    per_update, to_target = f"{units} per update", f"{units} to target"
    columns = (per_update, "trained with", "seeds that reached it", to_target, "range")
    return Table(
        title=f"{units.capitalize()} to the learning target (geometric mean over seeds)",
        columns=columns,
        rows=rows,
        numeric=frozenset({per_update, to_target}),
        droppable=("range", "seeds that reached it"),
    )


def _episodes_to_target(cell: LearningGroup) -> str:
    """The mean with its interval, or how many units were not enough."""
    return f"over {cell.not_within:,.0f}" if cell.episodes_to_target is None else within(cell.episodes_to_target)


def interactions_table(summary: Summary) -> Table | None:
    """What layers do on average, and how much more or less beside each other."""
    if not summary.interactions:
        return None
    rows = [
        (layer.name, "main effect", times_within(layer.speed.main_effect), _shown(layer.speed.main_effect_p_holm))
        for layer in summary.layers
        if layer.speed.main_effect is not None
    ]
    pairs = _clearest(summary.interactions)
    rows += [
        (" and ".join(found.pair), "interaction", times_within(found.effect), _shown(found.p_holm)) for found in pairs
    ]
    left_out = len(summary.interactions) - len(pairs)
    return Table(
        title="Main effects and interactions (the gain of a layer with the other one on, over its gain with it off)",
        columns=("layer or pair", "kind", "effect", "shown"),
        rows=rows,
        numeric=frozenset({"effect"}),
        droppable=("kind",),
        notes=(
            f"shown: significant at {SIGNIFICANT:.0%}, corrected for the number of main effects or of pairs (Holm). "
            "Brackets: 95 % intervals, not corrected.",
            *[f"Left out: {left_out} pairs that are not shown to interact. They are in summary.json."] * bool(left_out),
        ),
    )


MOST_PAIRS = 15


def _clearest(interactions: Sequence[Interaction]) -> list[Interaction]:
    """All pairs, or of many those that are shown to interact, and the clearest of the others."""
    clear = sorted(interactions, key=lambda found: 1.0 if found.p_holm is None else found.p_holm)
    shown = sum(found.p_holm is not None and found.p_holm < SIGNIFICANT for found in clear)
    kept = clear[: max(MOST_PAIRS, shown)]
    return [found for found in interactions if found in kept]


def _shown(p: float | None) -> str:
    return NOTHING if p is None else "yes" if p < SIGNIFICANT else "no"


def before_and_after_table(summary: Summary) -> Table | None:
    """What was claimed for the machine before and after, and what combinations do to it."""
    shown = compared(summary)
    if not shown:
        return None
    unit, speed = summary.system.unit, Speed.of(summary.system)
    levels: Cells = {speed.heading: ("episodes_per_min", lambda c: speed.within(c.episodes_per_min))}
    if not speed.is_time:
        levels = {f"ms per {unit.one}": ("ms_per_episode", lambda c: within(c.ms_per_episode)), **levels}
    rows = [
        (label, *summary.claimed_together.get(name, (NOTHING, NOTHING)), *map(cell, shown.values()))
        for label, (name, cell) in {**levels, **OF_THE_MACHINE, **COUNTED}.items()
    ]
    told = [row for row in rows if set(row[1:]) != {NOTHING}]
    columns = ("claimed before", "claimed after", *shown)
    return Table(
        title=f"Before and after{_names(shown)}",
        columns=(f"per {unit.one}, or of the machine", *columns),
        rows=told,
        numeric=frozenset(columns),
        droppable=(*columns[:2], *list(shown)[2:]),
        notes=(
            f"Brackets: 95 % t intervals. Those of {speed.heading}, and of what follows from it, are from the fit of "
            "all trials, the others over the trials of a combination (without brackets: from one trial, or 0 in some).",
            *[OF_COUNTS] * any(row[0] in COUNTED for row in told),
        ),
    ).told()


def _names(shown: dict[str, CombinationRow]) -> str:
    """In brackets, which layers the columns stand for where they do not say it themselves."""
    named = "; ".join(f"{role}: {combination_name(c.layers)}" for role, c in shown.items() if c.layers)
    return f" ({named})" if named else ""


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _millions(value: float | None) -> str:
    return digits(value and value / 1e6)


Cells = Mapping[str, tuple[str, Callable[[CombinationRow], str]]]
"""By the label of a row: its name among the claims for all layers together, and what a combination has there."""
OF_THE_MACHINE: Cells = {
    "utilization": ("utilization", lambda c: percent_within(c.usage.utilization)),
    "memory MB": ("peak_memory_mb", lambda c: within(c.peak_memory_mb)),
}
COUNTED: Cells = {
    "operators dispatched": ("dispatches_per_episode", lambda c: _count(c.usage.dispatches_per_episode)),
    "values read by the host": ("syncs_per_episode", lambda c: _count(c.usage.syncs_per_episode)),
    "matrix-product MFLOP": ("flops_per_episode", lambda c: _millions(c.usage.flops_per_episode)),
    "share of the matrix-product peak": ("mfu", lambda c: percent_within(c.usage.mfu)),
}
OF_COUNTS = (
    "Operators, values read and matrix products are counted in a window of their own in each trial. They depend on the "
    "code alone and have no interval."
)


def phases_table(summary: Summary) -> Table | None:
    """Milliseconds per unit in each phase."""
    shown = compared(summary)
    if not shown:
        return None
    by_phase = [c.usage.phase_ms_per_episode or {} for c in shown.values()]
    phases = dict.fromkeys(name for found in by_phase for name in found)
    if not phases:
        return None
    rows = [(name, *(within(found.get(name, Figure(0.0))) for found in by_phase)) for name in phases]
    return Table(
        title=f"Time of one {summary.system.unit.one} by phase, ms{_names(shown)}",
        columns=("phase", *shown),
        rows=[*rows, ("sum", *(within(c.usage.phases_sum_ms) for c in shown.values()))],
        numeric=frozenset(shown),
        droppable=tuple(shown)[2:],
        notes=(OVER_TRIALS,),
    )


def _torch_facts(machine: Facts) -> dict[str, str]:
    """The torch that trained; a program of the user's brings its own, and tells none."""
    if "torch" not in machine:
        return {}
    waiting = ", waiting without spinning" if machine.get("thread_waiting") == "passive" else ""
    return {
        "python, torch": f"{machine['python']}, {machine['torch']}",
        "torch threads": f"{machine['torch_threads']}{waiting}",
    }


def facts_table(summary: Summary) -> Table:
    """What was measured on, and what was trained."""
    machine = summary.machine
    facts = {
        "started": summary.started,
        "device": None
        if is_own_program(summary)
        else " ".join(str(machine[key]) for key in ("device", "device_name") if machine.get(key)),
        "chip": machine["chip"],
        "cores": f"{machine['physical_cores']} physical, {machine['logical_cores']} logical",
        "memory": f"{digits(machine['memory_mb'])} MB",
        "system": machine["system"],
        "power": machine["power"],
        **_torch_facts(machine),
        "environment": ", ".join(f"{k}={v}" for k, v in machine["environment"].items()) or "no relevant variable",
        **summary.system.facts,
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return Table("Machine, software and options", ("what", "value"), rows, frozenset())

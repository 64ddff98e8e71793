"""The tables of a report, from the summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from m2bench.records.combinations import combination_name
from m2bench.text.figures import (
    NOT_KNOWN,
    NOTHING,
    digits,
    is_known,
    percent_within,
    times_between,
    times_within,
    within,
)
from m2bench.text.tables import Table

from .charts.interactions import SIGNIFICANT
from .sentences import compared

Document = dict[str, Any]


def starting_table(summary: Document) -> Table | None:
    """What training costs before it runs at its speed, of the plainest combinations and of those looked at closely."""
    names = [layer["name"] for layer in summary["layers"]]
    chosen = [[], *([name] for name in names), names]
    chosen += [c["layers"] for c in compared(summary).values() if c["layers"] not in chosen]
    found = {tuple(c["layers"]): c for c in summary["combinations"] if c["trials_ok"]}
    shown = [c for layers in chosen if (c := found.get(tuple(layers))) is not None]
    if not shown:
        return None
    columns: dict[str, Callable[[Document], str]] = {
        "set-up": lambda c: _within(c, "setup_s"),
        "warm-up": lambda c: _within(c, "warmup_s"),
    }
    notes = [OVER_TRIALS]
    if any(c["compile_cold_s"] is not None for c in shown):
        columns["first compilation"] = lambda c: digits(c["compile_cold_s"])
        notes.append("First compilation: with an empty cache, which a machine has but once, so without an interval.")
    if any(c["compile_s"] is not None for c in shown):
        columns["compiling from the cache"] = lambda c: _within(c, "compile_s")
    if len(columns) > 2:
        columns["pays back after, episodes"] = _pays_back
        notes.append(
            "Pays back after: until compiling (from the cache, where that is known) has saved the time that "
            "it took; by the interval of the gain. A dash: nothing to compile."
        )
    return Table(
        title="What starting costs, in seconds",
        columns=("layers", *columns),
        rows=[(combination_name(c["layers"]), *(cell(c) for cell in columns.values())) for c in shown],
        numeric=frozenset(columns),
        droppable=tuple(columns)[:-1],
        notes=tuple(notes),
    )


OVER_TRIALS = (
    "Brackets: 95 % t intervals over the trials of a combination; a figure without them is of one trial, or was 0 in "
    "some."
)


def _within(document: Document, name: str) -> str:
    return within(document[name], document[f"{name}_ci"])


def _pays_back(combination: Document) -> str:
    if combination["compile_s"] is None and combination["compile_cold_s"] is None:
        return NOTHING
    known = "break_even_cold_episodes" if combination["compile_s"] is None else "break_even_episodes"
    return "not shown to" if combination[known] is None else _within(combination, known)


def impact_table(summary: Document) -> Table:
    """One row per layer: what was claimed and what was measured."""
    rows: list[tuple[str, ...]] = [
        (
            layer["name"],
            layer["difficulty"] or NOTHING,
            layer["claim_text"] or NOTHING,
            times_within(layer, "alone"),
            times_within(layer, "last"),
            times_within(layer, "shapley") + ("*" if layer["model_based"] else ""),
            percent_within(layer, "share"),
            times_within(layer, "time_to_target"),
            times_within(layer["responses"]["peak_memory_mb"], "alone"),
            layer["learning"],
            layer["verdict"] or NOTHING,
        )
        for layer in summary["layers"]
    ]
    total = times_within(summary, "total_speedup")
    absent = [layer["name"] for layer in summary["layers"] if layer["name"] not in summary["total_layers"]]
    together = "all together" + (f" without {', '.join(absent)}" if absent else "")
    rows.append((together, *[""] * 4, total, *[""] * 5))
    columns = ("layer", "difficulty", "claimed", "alone", "added last", "Shapley", "share", "time to target", "memory",
               "learning", "verdict")  # fmt: skip
    return Table(
        title="Impact of each layer on episodes/min, as a ratio with its 95 % interval (1.00x: no effect)",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[3:9]),
        droppable=("difficulty", "memory", "time to target", "share", "added last", "learning", "claimed", "Shapley"),
        notes=(*GLOSSARY, *_impact_remarks(summary)),
    )


GLOSSARY = (
    "alone: the layer against the baseline. added last: all layers against all but this one. Shapley: the layer's part "
    "in the total, averaged over all orders of switching layers on; the parts multiply to the total. share: of the "
    "total's logarithm, so that gains exceed 100 % where other layers cost. time to target: how many times as "
    "soon as the baseline the layer alone reaches it. memory: the peak with the layer alone over the baseline's. "
    "Brackets: 95 % intervals.",
    "verdict: of what is claimed for the speed, by the layer alone; what is claimed for memory or stability is judged "
    "among the claims.",
)


def _impact_remarks(summary: Document) -> list[str]:
    """Why a figure of the impact table is missing or to be doubted."""
    remarks = [f"{layer['name']}: {remark}" for layer in summary["layers"] if (remark := _remark(layer, summary))]
    remarks += [
        f"{layer['name']}: the verdict is of the {layer['claim_phase']} alone, {times_within(layer, 'claimed_effect')}."
        for layer in summary["layers"]
        if layer["claim_phase"] and layer["claimed_effect"] is not None
    ]
    if any(layer["model_based"] for layer in summary["layers"]):
        remarks.append(
            "* by a model of main effects alone, which may mix with interactions of layers: the design is too small to "
            "tell them apart."
            if summary["main_effects_mixed"]
            else "* with missing combinations predicted by a model of main effects and pairs; by how much that model "
            "misses the others widens the interval."
        )
    missing = sum(not c["trials"] for c in summary["combinations"])
    if missing:
        remarks.append(
            f"{missing} of {len(summary['combinations'])} combinations have not been run yet; a dash stands for "
            "figures that need them."
        )
    untied = [c for c in summary["combinations"] if c["trials_ok"] and c["speedup"] is None and c["status"] == "ok"]
    if untied:
        remarks.append(
            f"{len(untied)} combinations have trials but no figure: too many baselines failed to tie them together."
        )
    return remarks


def _remark(layer: Document, summary: Document) -> str:
    if layer["reason"]:
        return f"cannot run here: {layer['reason']}"
    names = [other["name"] for other in summary["layers"]]
    behind = ([layer["name"]], names, [name for name in names if name != layer["name"]])
    found = [c for layers in behind for c in summary["combinations"] if c["layers"] == layers]
    troubled = [f"{'+'.join(c['layers'])}: {_outcome(c)}" for c in found if c["trials"] and _outcome(c) != "ok"]
    if troubled:
        return "; ".join(dict.fromkeys(troubled))
    if layer["alone"] is None and layer["last"] is None and all(c["trials"] for c in found):
        return "not measured by this design"
    return ""


def combinations_table(summary: Document) -> Table:
    """One row per combination, fastest first; those without a figure last."""
    ranked = sorted(summary["combinations"], key=lambda c: -(c["speedup"] or 0.0))
    rows = [
        (
            str(rank),
            combination_name(c["layers"]),
            times_within(c, "speedup"),
            _within(c, "episodes_per_min"),
            _within(c, "episodes_to_target"),
            _within(c, "time_to_target_s") + ("*" if c["time_to_target_modelled"] else ""),
            _compile_s(c),
            _within(c, "peak_memory_mb"),
            c["learning"] or NOTHING,
            c["numerics"] or NOTHING,
            _status(c),
        )
        for rank, c in enumerate(ranked, 1)
    ]
    numbers = ("#", "speedup", "episodes/min", "episodes to target", "to target s", "compile s", "memory MB")
    return CombinationsTable(
        title=f"All {len(rows)} combinations, fastest first",
        columns=("#", "layers", *numbers[1:], "learning", "numerics", "status"),
        rows=rows,
        numeric=frozenset(numbers),
        droppable=("memory MB", "compile s", "episodes to target", "#", "episodes/min", "to target s", "learning",
                   "numerics"),
        notes=(
            "Brackets: 95 % intervals; of speedup and episodes/min with the noise of all trials together, of memory "
            "and compiling over the trials of the combination, of episodes to the target over seeds. Compiling with an "
            "empty cache (cold) happens once and has none.",
        ),
    )  # fmt: skip


class CombinationsTable(Table):
    """The one table that is long enough to be sorted and filtered."""


def _compile_s(combination: Document) -> str:
    """Seconds of compiling with a warm cache, or marked as cold where no trial found one."""
    if combination["compile_s"] is None and combination["compile_cold_s"] is not None:
        return f"{digits(combination['compile_cold_s'])} cold"
    return _within(combination, "compile_s")


def _status(combination: Document) -> str:
    """The outcome, and whether its timed windows ended in a steady state."""
    unsteady = combination["trials_ok"] - combination["steady_trials"]
    counted = f"{unsteady} of {combination['trials_ok']} trials"
    return _outcome(combination) + (f", not steady in {counted}" if unsteady else "")


def _outcome(combination: Document) -> str:
    if combination["status"] == "ok":
        return "ok" if combination["numerics"] in ("same", "unchecked") else f"ok, but {combination['numerics_reason']}"
    if combination["trials_ok"]:
        counts = f"{combination['trials_ok']} of {combination['trials']} trials ok"
        return f"{combination['status']}: {combination['reason']}; {counts}"
    return ": ".join(str(part) for part in (combination["status"] or "missing", combination["reason"]) if part)


def learning_table(summary: Document) -> Table:
    """One row per layer: what its speed is worth once the episodes that learning takes are counted."""
    rows = [
        (
            layer["name"],
            times_within(layer, "alone"),
            times_within(layer, "episodes_needed"),
            times_within(layer, "time_to_target"),
            _gain_surviving(layer),
            layer["learning"],
            _learning_remark(layer),
        )
        for layer in summary["layers"]
    ]
    columns = ("layer", "episodes/min", "episodes needed", "time to target", "gain surviving", "learning", "because")
    return Table(
        title="What each layer alone does to learning, as ratios (time to target: above 1 is sooner)",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[1:5]),
        droppable=("because", "episodes/min", "gain surviving", "episodes needed"),
    )


def _gain_surviving(layer: Document) -> str:
    """Of a gain in speed that is shown, what is left as time to target; a loss on the whole is called one."""
    is_gain = layer["alone_ci"] is not None and layer["alone_ci"][0] > 1
    if not is_gain or layer["time_to_target"] is None:
        return NOTHING
    if layer["time_to_target"] > 1:
        return percent_within(layer, "gain_surviving")
    ends = layer["time_to_target_ci"]
    return "a net loss" if ends is not None and ends[1] < 1 else "a net loss, not shown"


RESPONSES = {
    "time_to_target_s": "seconds to target",
    "peak_memory_mb": "memory",
    "energy_j_per_episode": "energy",
}
OF_RESPONSES = {"alone": "alone", "shapley": "Shapley"}


def responses_table(summary: Document) -> Table | None:
    """One row per layer: what it does to everything that was measured besides the speed."""
    layers = summary["layers"]
    shown = [
        (name, kind)
        for name in RESPONSES
        for kind in OF_RESPONSES
        # Alone, it stands in the impact table.
        if (name, kind) != ("time_to_target_s", "alone") and any(layer["responses"][name][kind] for layer in layers)
    ]
    if not shown:
        return None
    rows = [
        (
            layer["name"],
            *(times_within(layer["responses"][name], kind) for name, kind in shown),
        )
        for layer in layers
    ]
    columns = [f"{RESPONSES[name]} ({OF_RESPONSES[kind]})" for name, kind in shown]
    return Table(
        title="What each layer does to other costs, as ratios with 95 % intervals (below 1.00x is less)",
        columns=("layer", *columns),
        rows=rows,
        numeric=frozenset(columns),
        droppable=tuple(columns[1:]),
    )


def _learning_remark(layer: Document) -> str:
    if layer["learning_effect"] is None:
        return str(layer["learning_reason"])
    low, high = layer["learning_ci"]
    if not is_known([100 * low, 100 * high], "%"):
        return f"{layer['learning_reason']}: return {NOT_KNOWN}, {layer['learning_seeds']} seeds"
    effect = f"return {layer['learning_effect']:+.0%} [{low:+.0%}, {high:+.0%}], {layer['learning_seeds']} seeds"
    return f"{layer['learning_reason']}: {effect}"


def groups_table(summary: Document) -> Table | None:
    """One row per group of combinations that learn alike: the episodes they need to the target."""
    cells = summary["learning"]["cells"]
    if not cells:
        return None
    rows = [
        (
            str(cell["episodes_per_update"]),
            combination_name(cell["layers"]),
            f"{cell['reached']} of {cell['trials']}",
            _episodes_to_target(cell),
            "-".join(f"{episodes:,.0f}" for episodes in cell["episodes_to_target_range"] or ()) or NOTHING,
        )
        for cell in cells
    ]
    columns = ("episodes per update", "trained with", "seeds that arrived", "episodes to target", "range")
    return Table(
        title="Episodes until the target is reached (geometric mean over seeds)",
        columns=columns,
        rows=rows,
        numeric=frozenset({"episodes per update", "episodes to target"}),
        droppable=("range", "seeds that arrived"),
    )


def _episodes_to_target(cell: Document) -> str:
    """The mean with its interval, or how many episodes were not enough."""
    if cell["episodes_to_target"] is None:
        return f"over {cell['not_within']:,}"
    return _within(cell, "episodes_to_target")


def interactions_table(summary: Document) -> Table | None:
    """What layers do on average, and how much more or less beside each other."""
    if not summary["interactions"]:
        return None
    rows = [
        (layer["name"], "main effect", times_within(layer, "main_effect"), _shown(layer["main_effect_p_holm"]))
        for layer in summary["layers"]
        if layer["main_effect"] is not None
    ]
    rows += [
        (
            " and ".join(found["pair"]),
            "interaction",
            times_between(found["effect"], found["ci"]),
            _shown(found["p_holm"]),
        )
        for found in summary["interactions"]
    ]
    return Table(
        title="Main effects, and how many times more a layer gains with another one on than with it off",
        columns=("layer or pair", "kind", "effect", "shown"),
        rows=rows,
        numeric=frozenset({"effect"}),
        droppable=("kind",),
        notes=(
            f"shown: significant at {SIGNIFICANT:.0%} among all main effects, or all pairs (Holm). Brackets: "
            "95 % intervals, each for itself.",
        ),
    )


def _shown(p: float | None) -> str:
    return NOTHING if p is None else "yes" if p < SIGNIFICANT else "no"


def sweep_table(summary: Document) -> Table | None:
    """One row per number of environments that was tried with the fastest combination."""
    sweep = summary["sweep"]
    if sweep is None or sweep["layers"] is None:
        return None
    rows = [
        (
            str(size["num_envs"]),
            times_within(size, "speedup"),
            _within(size, "episodes_per_min"),
            _within(size, "peak_memory_mb"),
            size["reason"] or "ok",
        )
        for size in sweep["sizes"]
    ]
    columns = ("environments", "speedup", "episodes/min", "memory MB", "status")
    return Table(
        title=f"Numbers of environments with {'+'.join(sweep['layers'])}",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[:4]),
        droppable=("memory MB", "episodes/min"),
        notes=(
            "Brackets of speedup and episodes/min: 95 % intervals that hold for all sizes at once, so for the fastest "
            "as well, by the scatter of all sizes together; of memory: over the trials of a size. A figure without "
            "them is of one block.",
        ),
    )


def before_and_after_table(summary: Document) -> Table | None:
    """What was claimed for the machine before and after, and what combinations do to it."""
    shown = compared(summary)
    if not shown:
        return None
    claimed = summary["claimed_together"]
    rows = [
        (label, *claimed.get(name, (NOTHING, NOTHING)), *(cell(c, name) for c in shown.values()))
        for name, (label, cell) in BEFORE_AND_AFTER.items()
    ]
    columns = ("claimed before", "claimed after", *shown)
    return Table(
        title=f"Before and after{_names(shown)}",
        columns=("of an episode or the machine", *columns),
        rows=rows,
        numeric=frozenset(columns),
        droppable=(*columns[:2], *list(shown)[2:]),
        notes=(
            "Brackets: 95 % t intervals; of episodes/min, and what follows from it, by the fit of all trials of the "
            "run, else over the trials of a combination (a figure without them is of one trial, or was 0 in some).",
            "Operators, values read and matrix products are counted in one watched window of each trial; they follow "
            "from the code, not from the moment, and have no interval.",
        ),
    )


def _names(shown: dict[str, Document]) -> str:
    """In brackets, which layers the columns stand for where they do not say it themselves."""
    named = "; ".join(f"{role}: {combination_name(c['layers'])}" for role, c in shown.items() if c["layers"])
    return f" ({named})" if named else ""


def _count(combination: Document, name: str) -> str:
    value = combination[name]
    return NOTHING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _millions(combination: Document, name: str) -> str:
    value = combination[name]
    return NOTHING if value is None else digits(value / 1e6)


BEFORE_AND_AFTER: dict[str, tuple[str, Callable[[Document, str], str]]] = {
    "ms_per_episode": ("ms per episode", _within),
    "episodes_per_min": ("episodes/min", _within),
    "utilization": ("utilization", percent_within),
    "peak_memory_mb": ("memory MB", _within),
    "dispatches_per_episode": ("operators dispatched", _count),
    "syncs_per_episode": ("values read by the host", _count),
    "flops_per_episode": ("matrix-product MFLOP", _millions),
    "mfu": ("share of the matrix-product peak", percent_within),
}


def phases_table(summary: Document) -> Table | None:
    """Milliseconds per episode in each phase."""
    shown = compared(summary)
    if not shown:
        return None
    phases = dict.fromkeys(name for c in shown.values() for name in c["phase_ms_per_episode"] or ())
    if not phases:
        return None
    rows = [(name, *(_phase(c, name) for c in shown.values())) for name in phases]
    return Table(
        title=f"Where an episode's time goes, ms{_names(shown)}",
        columns=("phase", *shown),
        rows=[*rows, ("sum", *(_within(c, "phases_sum_ms") for c in shown.values()))],
        numeric=frozenset(shown),
        droppable=tuple(shown)[2:],
        notes=(OVER_TRIALS,),
    )


def _phase(combination: Document, name: str) -> str:
    value = combination["phase_ms_per_episode"].get(name, 0.0)
    return within(value, combination["phase_ms_per_episode_ci"].get(name))


def facts_table(summary: Document) -> Table:
    """What was measured on, and what was trained."""
    machine = summary["machine"]
    facts = {
        "started": summary["started"],
        "device": " ".join(str(machine[key]) for key in ("device", "device_name") if machine.get(key)),
        "chip": machine["chip"],
        "cores": f"{machine['physical_cores']} physical, {machine['logical_cores']} logical",
        "memory": f"{digits(machine['memory_mb'])} MB",
        "system": machine["system"],
        "power": machine["power"],
        "python, torch": f"{machine['python']}, {machine['torch']}",
        "torch threads": f"{machine['torch_threads']}"
        + (", which wait without spinning" if machine.get("thread_waiting") == "passive" else ""),
        "environment": ", ".join(f"{k}={v}" for k, v in machine["environment"].items()) or "nothing that matters set",
        **summary["system"]["facts"],
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return Table("What was measured on, and what was trained", ("what", "value"), rows, frozenset())

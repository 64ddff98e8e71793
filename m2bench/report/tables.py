"""The tables of a report, from the summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from m2bench.tables import NOTHING, Table, digits, percent, times, times_within


def starting_table(summary: dict[str, Any]) -> Table | None:
    """What training costs before it runs at its speed, of the plainest combinations and of the best."""
    names = [layer["name"] for layer in summary["layers"]]
    chosen = [[], *([name] for name in names), names]
    if summary["best"] is not None and summary["best"]["layers"] not in chosen:
        chosen.append(summary["best"]["layers"])
    found = {tuple(c["layers"]): c for c in summary["combinations"] if c["trials_ok"]}
    rows = [
        (
            "+".join(layers) or "baseline",
            *(digits(c[name]) for name in ("setup_s", "compile_cold_s", "compile_s", "warmup_s")),
            _pays_back(c),
        )
        for layers in chosen
        if (c := found.get(tuple(layers))) is not None
    ]
    columns = ("set-up", "first compilation", "with code in the cache", "warm-up", "pays back after")
    if not rows:
        return None
    return Table(
        title="What starting costs, in seconds, and after how many episodes compiling has paid",
        columns=("layers", *columns),
        rows=rows,
        numeric=frozenset(columns),
        droppable=("set-up", "warm-up"),
    )


def _pays_back(combination: dict[str, Any]) -> str:
    if combination["compile_s"] is None and combination["compile_cold_s"] is None:
        return NOTHING
    return _whole(combination["break_even_episodes"]) if combination["break_even_episodes"] else "not shown to"


def report_tables(summary: dict[str, Any]) -> list[Table]:
    """The tables in the order in which a reader asks."""
    tables = (
        impact_table(summary),
        learning_table(summary),
        groups_table(summary),
        responses_table(summary),
        phases_table(summary),
        before_and_after_table(summary),
        combinations_table(summary),
        sweep_table(summary),
        starting_table(summary),
    )
    return [table for table in tables if table is not None]


def impact_table(summary: dict[str, Any]) -> Table:
    """One row per layer: what was claimed and what was measured."""
    rows: list[tuple[str, ...]] = [
        (
            layer["name"],
            layer["difficulty"],
            layer["claim_text"],
            times_within(layer, "alone"),
            times_within(layer, "last"),
            times_within(layer, "shapley") + ("*" if layer["model_based"] else ""),
            percent(layer["share"]),
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
    rows.append((together, "", "", total, *[""] * 7))
    columns = ("layer", "difficulty", "claimed", "alone", "added last", "Shapley", "share", "time to target", "memory",
               "learning", "verdict")  # fmt: skip
    return Table(
        title="Impact of each layer on episodes/min, as a ratio with its 95 % interval (1.00x: no effect)",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[3:9]),
        droppable=("difficulty", "memory", "time to target", "share", "added last", "learning", "claimed", "alone"),
    )


def impact_remarks(summary: dict[str, Any]) -> list[str]:
    """Why a figure of the impact table is missing or to be doubted."""
    remarks = [f"{layer['name']}: {remark}" for layer in summary["layers"] if (remark := _remark(layer, summary))]
    if any(layer["model_based"] for layer in summary["layers"]):
        remarks.append(
            "* by a model of main effects alone, which may mix with interactions of layers: the design is too small to "
            "tell them apart."
            if summary["main_effects_mixed"]
            else "* with missing combinations predicted by a model of main effects and pairs; by how much that model "
            "misses the others widens the interval."
        )
    untied = [c for c in summary["combinations"] if c["trials_ok"] and c["speedup"] is None and c["status"] == "ok"]
    if untied:
        remarks.append(
            f"{len(untied)} combinations have trials but no figure: too many baselines failed to tie them together."
        )
    return remarks


def _remark(layer: dict[str, Any], summary: dict[str, Any]) -> str:
    if layer["reason"]:
        return f"cannot run here: {layer['reason']}"
    names = [other["name"] for other in summary["layers"]]
    behind = ([layer["name"]], names, [name for name in names if name != layer["name"]])
    found = [c for layers in behind for c in summary["combinations"] if c["layers"] == layers]
    troubled = [f"{'+'.join(c['layers'])}: {_outcome(c)}" for c in found if _outcome(c) != "ok"]
    if troubled:
        return "; ".join(dict.fromkeys(troubled))
    if layer["alone"] is None and layer["last"] is None:
        return "not measured by this design"
    return ""


def combinations_table(summary: dict[str, Any]) -> Table:
    """One row per combination, fastest first; those without a figure last."""
    ranked = sorted(summary["combinations"], key=lambda c: -(c["speedup"] or 0.0))
    rows = [
        (
            str(rank),
            "+".join(c["layers"]) or "baseline",
            times_within(c, "speedup"),
            digits(c["episodes_per_min"]),
            _whole(c["episodes_to_target"]),
            digits(c["time_to_target_s"]) + ("*" if c["time_to_target_modelled"] else ""),
            _compile_s(c),
            digits(c["peak_memory_mb"]),
            c["learning"] or NOTHING,
            c["numerics"] or NOTHING,
            _status(c),
        )
        for rank, c in enumerate(ranked, 1)
    ]
    numbers = ("#", "speedup", "episodes/min", "episodes to target", "to target s", "compile s", "memory MB")
    return Table(
        title=f"All {len(rows)} combinations, fastest first",
        columns=("#", "layers", *numbers[1:], "learning", "numerics", "status"),
        rows=rows,
        numeric=frozenset(numbers),
        droppable=("memory MB", "compile s", "episodes to target", "#", "episodes/min", "to target s", "learning"),
    )


def _compile_s(combination: dict[str, Any]) -> str:
    """Seconds of compiling with a warm cache, or marked as cold where no trial found one."""
    if combination["compile_s"] is None and combination["compile_cold_s"] is not None:
        return f"{digits(combination['compile_cold_s'])} cold"
    return digits(combination["compile_s"])


def _status(combination: dict[str, Any]) -> str:
    """The outcome, and whether its timed windows ended in a steady state."""
    unsteady = combination["trials_ok"] - combination["steady_trials"]
    counted = f"{unsteady} of {combination['trials_ok']} trials"
    return _outcome(combination) + (f", not steady in {counted}" if unsteady else "")


def _outcome(combination: dict[str, Any]) -> str:
    if combination["status"] == "ok":
        return "ok" if combination["numerics"] == "same" else f"ok, but {combination['numerics_reason']}"
    if combination["trials_ok"]:
        counts = f"{combination['trials_ok']} of {combination['trials']} trials ok"
        return f"{combination['status']}: {combination['reason']}; {counts}"
    return ": ".join(str(part) for part in (combination["status"] or "missing", combination["reason"]) if part)


def learning_table(summary: dict[str, Any]) -> Table:
    """One row per layer: what its speed is worth once the episodes that learning takes are counted."""
    rows = [
        (
            layer["name"],
            times_within(layer, "alone"),
            times_within(layer, "episodes_needed"),
            times_within(layer, "time_to_target"),
            percent(layer["gain_surviving"]),
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


RESPONSES = {
    "time_to_target_s": "seconds to target",
    "peak_memory_mb": "memory",
    "energy_j_per_episode": "energy",
}
OF_RESPONSES = {"alone": "alone", "shapley": "Shapley"}


def responses_table(summary: dict[str, Any]) -> Table | None:
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
    columns = [f"{RESPONSES[name]}, {OF_RESPONSES[kind]}" for name, kind in shown]
    return Table(
        title="What each layer does to other costs, as ratios with 95 % intervals (below 1.00x is less)",
        columns=("layer", *columns),
        rows=rows,
        numeric=frozenset(columns),
    )


def _learning_remark(layer: dict[str, Any]) -> str:
    if layer["learning_effect"] is None:
        return str(layer["learning_reason"])
    low, high = layer["learning_ci"]
    effect = f"return {layer['learning_effect']:+.0%} [{low:+.0%}, {high:+.0%}], {layer['learning_seeds']} seeds"
    return f"{layer['learning_reason']}: {effect}"


def groups_table(summary: dict[str, Any]) -> Table | None:
    """One row per group of combinations that learn alike: the episodes they need to the target."""
    cells = summary["learning"]["cells"]
    if not cells:
        return None
    rows = [
        (
            str(cell["episodes_per_update"]),
            "+".join(cell["layers"]) or "baseline",
            f"{cell['reached']} of {cell['trials']}",
            _episodes_to_target(cell),
            "-".join(f"{episodes:,}" for episodes in cell["episodes_to_target_range"] or ()) or NOTHING,
        )
        for cell in cells
    ]
    columns = ("episodes per update", "trained with", "seeds that arrived", "episodes to target", "range")
    return Table(
        title="Episodes until the target is reached (geometric mean over seeds)",
        columns=columns,
        rows=rows,
        numeric=frozenset({"episodes per update", "episodes to target"}),
    )


def _episodes_to_target(cell: dict[str, Any]) -> str:
    """The mean with its interval, or how many episodes were not enough."""
    if cell["episodes_to_target"] is None:
        return f"over {cell['not_within']:,}"
    if cell["episodes_to_target_ci"] is None:
        return _whole(cell["episodes_to_target"])
    low, high = cell["episodes_to_target_ci"]
    return f"{_whole(cell['episodes_to_target'])} [{_whole(low)}, {_whole(high)}]"


def _whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def sweep_table(summary: dict[str, Any]) -> Table | None:
    """One row per number of environments that was tried with the fastest combination."""
    sweep = summary["sweep"]
    if sweep is None or sweep["layers"] is None:
        return None
    rows = [
        (
            str(size["num_envs"]),
            times_within(size, "speedup"),
            digits(size["episodes_per_min"]),
            digits(size["peak_memory_mb"]),
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
    )


def before_and_after_table(summary: dict[str, Any]) -> Table | None:
    """What was claimed for the machine before and after, and what the baseline and the best combination do to it."""
    baseline, best = _baseline_and_best(summary)
    if baseline is None or best is None:
        return None
    claimed = summary["claimed_together"]
    rows = [
        (label, *claimed.get(name, (NOTHING, NOTHING)), shown(baseline[name]), shown(best[name]))
        for name, (label, shown) in BEFORE_AND_AFTER.items()
    ]
    columns = ("claimed before", "claimed after", "baseline", "best")
    return Table(
        title=f"Before and after (best: {'+'.join(best['layers']) or 'baseline'})",
        columns=("of an episode or the machine", *columns),
        rows=rows,
        numeric=frozenset(columns),
    )


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _millions(value: float | None) -> str:
    return NOTHING if value is None else digits(value / 1e6)


BEFORE_AND_AFTER: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "ms_per_episode": ("ms per episode", digits),
    "episodes_per_min": ("episodes/min", digits),
    "utilization": ("utilization", percent),
    "peak_memory_mb": ("memory MB", digits),
    "dispatches_per_episode": ("operators dispatched", _count),
    "syncs_per_episode": ("values read by the host", _count),
    "flops_per_episode": ("matrix-product MFLOP", _millions),
    "mfu": ("share of the matrix-product peak", lambda value: NOTHING if value is None else f"{value:.1%}"),
}


def _baseline_and_best(summary: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    baseline = next((c for c in summary["combinations"] if not c["layers"] and c["speedup"] is not None), None)
    return baseline, summary["best"]


def phases_table(summary: dict[str, Any]) -> Table | None:
    """Milliseconds per episode in each phase, of the baseline and of the best combination."""
    baseline, best = _baseline_and_best(summary)
    if baseline is None or best is None:
        return None
    before, after = baseline["phase_ms_per_episode"], best["phase_ms_per_episode"]
    lines = [(name, before.get(name, 0.0), after.get(name, 0.0)) for name in dict.fromkeys((*before, *after))]
    lines.append(("sum", sum(before.values()), sum(after.values())))
    return Table(
        title=f"Where an episode's time goes, ms (baseline, and best: {'+'.join(best['layers']) or 'baseline'})",
        columns=("phase", "baseline", "best", "ratio"),
        rows=[(name, digits(b), f"{a:.3f}", times(b / a if a else None)) for name, b, a in lines],
        numeric=frozenset({"baseline", "best", "ratio"}),
    )


def facts_table(summary: dict[str, Any]) -> Table:
    """What was measured on, and what was trained."""
    machine, workload = summary["machine"], summary["workload"]
    spec = workload["spec"]["workload"]
    facts = {
        "started": summary["started"],
        "device": " ".join(str(machine[key]) for key in ("device", "device_name") if machine.get(key)),
        "chip": machine["chip"],
        "cores": f"{machine['physical_cores']} physical, {machine['logical_cores']} logical",
        "memory": f"{digits(machine['memory_mb'])} MB",
        "system": machine["system"],
        "power": machine["power"],
        "python, torch": f"{machine['python']}, {machine['torch']}",
        "torch threads": machine["torch_threads"],
        "environment": ", ".join(f"{k}={v}" for k, v in machine["environment"].items()) or "nothing that matters set",
        "market": f"{workload['market']['name']}, {workload['market']['candles']:,} candles",
        "known good policy": f"{digits(workload['good_return'])} % per held-out episode"
        if workload["good_return"] is not None
        else "none on this market",
        "environments per batch": workload["options"]["num_envs"],
        "episode": f"{workload['hyperparameters']['episode_length']} decisions",
        "policy": workload["hyperparameters"]["policy_size"],
        "learning rate follows episodes per update": spec["lr_scaling"],
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return Table("Machine and workload", ("what", "value"), rows, frozenset())

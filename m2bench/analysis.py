"""From trials to figures: a median per combination, ratios to the block's own baseline.

Pure: takes stored trials, gives the document that is written as ``summary.json``. Figures that need
more than these simple estimates are None, never invented.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import geometric_mean, mean, median
from typing import Any

from .learning import Learning
from .plan import choose_combinations, make_trials
from .spec import BASELINE, Layers
from .store import RunRecord, StoredTrial

SUMMARY_SCHEMA = 1
# The worst status among a combination's trials is the combination's.
SEVERITY = ("ok", "unsupported", "not-engaged", "failed")


def summarize(run: str, record: RunRecord, trials: list[StoredTrial]) -> dict[str, Any]:
    """The summary document of a run, finished or not."""
    spec, description = record.spec, record.description
    learning = Learning(record, trials)
    trials = [trial for trial in trials if trial.spec.kind == "speed"]
    by_layers: dict[Layers, list[StoredTrial]] = defaultdict(list)
    for trial in trials:
        by_layers[trial.spec.layers].append(trial)
    speeds = {layers: _block_speeds(trials) for layers, trials in by_layers.items()}
    combinations = [
        {
            **_summarize_combination(layers, by_layers[layers], speeds.get(BASELINE, {})),
            **learning.of_combination(layers),
        }
        for layers in choose_combinations(spec.layers, spec.design)
    ]
    measured = {tuple(c["layers"]) for c in combinations if c["speedup"] is not None}
    speeds = {layers: blocks for layers, blocks in speeds.items() if layers in measured}
    aa_factors = _aa_factors(by_layers[BASELINE])
    rated = [c for c in combinations if c["speedup"] is not None and c["status"] == "ok" and c["numerics"] == "same"]
    best = max(rated, key=lambda c: float(c["speedup"]), default=None)
    arriving = [c for c in rated if c["time_to_target_s"] is not None]
    soonest = min(arriving, key=lambda c: float(c["time_to_target_s"]), default=None)
    return {
        "schema": SUMMARY_SCHEMA,
        "run": run,
        "started": record.started,
        "trials_done": len(trials),
        "trials_planned": len(make_trials(spec)),
        "device": description["device"]["device"],
        "machine": {**description["machine"], **description["device"]},
        "workload": {**description["workload"], "spec": spec.to_json()},
        "noise": {
            "aa_ratio": _over(median, aa_factors),
            "aa_worst": _over(max, aa_factors),
            "aa_ci": None,
            "min_detectable": None,
        },
        "combinations": combinations,
        "layers": [
            _summarize_layer(layer, spec.layers, speeds, learning)
            for layer in description["layers"]
            if layer["name"] in spec.layers
        ],
        "interactions": None,
        "total_speedup": _median_ratio(speeds.get(spec.layers, {}), speeds.get(BASELINE, {})),
        "best": best,
        "soonest": soonest,
        "recommended": None,
        "learning": learning.document(),
        "gates": _gates_cost(record, trials),
    }


def _block_speeds(trials: Iterable[StoredTrial]) -> dict[int, float]:
    """Episodes per minute in each block, over ok trials; the baseline's two are joined by their geometric mean."""
    speeds: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.status == "ok":
            speeds[trial.spec.block].append(trial.result["episodes_per_min"])
    return {block: geometric_mean(values) for block, values in speeds.items()}


def _median_ratio(over: dict[int, float], under: dict[int, float]) -> float | None:
    """Median over the blocks that have both."""
    return _over(median, [over[block] / under[block] for block in over if block in under])


def _aa_factors(trials: Iterable[StoredTrial]) -> list[float]:
    """How far a block's first and last baseline lie apart, whichever is faster: a factor >= 1 per block."""
    ends: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.status == "ok":
            ends[trial.spec.block].append(trial.result["episodes_per_min"])
    return [max(pair) / min(pair) for pair in ends.values() if len(pair) == 2]


def _summarize_combination(layers: Layers, trials: list[StoredTrial], baselines: dict[int, float]) -> dict[str, Any]:
    status, reason = _worst(trials)
    # A toggle that did nothing even once gets no number; a trial that failed leaves those that did not.
    good = [trial for trial in trials if trial.status == "ok" and status != "not-engaged"]
    results = [trial.result for trial in good]
    speed = _over(median, (r["episodes_per_min"] for r in results))
    return {
        "layers": list(layers),
        "status": status,
        "reason": reason,
        "trials": len(trials),
        "trials_ok": len(good),
        "episodes_per_min": speed,
        "episodes_per_min_ci": None,
        "speedup": _median_ratio(_block_speeds(good), baselines),
        "speedup_ci": None,
        "ms_per_episode": None if speed is None else 60_000 / speed,
        "env_steps_per_s": _over(median, (r["env_steps_per_s"] for r in results)),
        "setup_s": _over(median, (r["setup_s"] for r in results)),
        "compile_s": _over(median, (r["compile_s"] for r in results if r["compile_s"] and _cache(r) != "cold")),
        "compile_cold_s": _over(max, (r["compile_s"] for r in results if _cache(r) == "cold")),
        "peak_memory_mb": _over(median, (_peak_memory_mb(r) for r in results)),
        "utilization": None,
        "mfu": None,
        "dispatches_per_episode": None,
        "syncs_per_episode": None,
        "operators_per_episode": _over(median, (r["profile"]["operators_per_episode"] for r in results)),
        "phase_ms_per_episode": _phases(results),
        "eval_return": _over(mean, (r["eval_return"] for r in results)),
        **_numerics(results),
    }


def _worst(trials: list[StoredTrial]) -> tuple[str | None, str | None]:
    """Status and reason of the worst trial; None for a combination that was not reached."""
    if not trials:
        return None, "not run yet"
    worst = max(trials, key=lambda trial: SEVERITY.index(trial.status))
    log = f" (log: {worst.log})" if worst.status == "failed" else ""
    return worst.status, None if worst.reason is None else worst.reason + log


def _cache(result: dict[str, Any]) -> str | None:
    """Either "cold" or "warm" where something was compiled, else None."""
    caches = [proof["evidence"].get("cache") for proof in result["proofs"].values()]
    return next((cache for cache in caches if cache is not None), None)


def _peak_memory_mb(result: dict[str, Any]) -> float:
    """The device allocator's peak where there is one, else this process's on the host."""
    peak: dict[str, float | None] = result["peak_memory_mb"]
    device, host = peak["device"], peak["host"]
    assert host is not None
    return host if device is None else device


def _numerics(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What the gates of a combination's trials found: same only when every gate of every trial said so."""
    if not results:
        return {"numerics": None, "numerics_reason": None, "gates": None}
    names = list(results[0]["gates"])
    reasons = {
        name: next((r["gates"][name]["reason"] for r in results if not r["gates"][name]["same"]), None)
        for name in names
    }
    changed = {name: reason for name, reason in reasons.items() if reason is not None}
    return {
        "numerics": "changed" if changed else "same",
        "numerics_reason": "; ".join(f"{name}: {reason}" for name, reason in changed.items()) or None,
        "gates": {name: [r["gates"][name]["evidence"] for r in results] for name in names},
    }


def _gates_cost(record: RunRecord, trials: list[StoredTrial]) -> dict[str, float]:
    """Seconds that preparing and passing the gates took, over all trials so far."""
    passed = sum(trial.result["gates_s"] for trial in trials if trial.result)
    return {"prepare_s": record.description["prepare_s"], "trials_s": passed}


def _phases(results: list[dict[str, Any]]) -> dict[str, float] | None:
    if not results:
        return None
    phases = [result["profile"]["phase_ms_per_episode"] for result in results]
    return {name: median(phase[name] for phase in phases) for name in phases[0]}


def _over(estimate: Callable[[list[float]], float], values: Iterable[float]) -> float | None:
    listed = list(values)
    return estimate(listed) if listed else None


def _summarize_layer(
    layer: dict[str, Any], taking_part: Layers, speeds: dict[Layers, dict[int, float]], learning: Learning
) -> dict[str, Any]:
    name = layer["name"]
    without = tuple(other for other in taking_part if other != name)
    alone = _median_ratio(speeds.get((name,), {}), speeds.get(BASELINE, {}))
    learned = learning.of_layer(name)
    needed = learned["episodes_needed"]
    return {
        "name": name,
        "part": layer["part"],
        "difficulty": layer["claim"]["difficulty"],
        "priority": layer["claim"]["priority"],
        "claim": [layer["claim"]["low"], layer["claim"]["high"]],
        "claim_text": layer["claim"]["text"],
        "alone": alone,
        "last": _median_ratio(speeds.get(taking_part, {}), speeds.get(without, {})),
        "main_effect": None,
        "shapley": None,
        "shapley_ci": None,
        "share": None,
        "verdict": "unsupported" if layer["unsupported"] else None,
        "reason": layer["unsupported"],
        **learned,
        "time_to_target": None if alone is None or needed is None else alone / needed,
        "gain_surviving": None if needed is None else 1 / needed,
    }

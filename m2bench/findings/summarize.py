"""From trials to figures: the document that is written as ``summary.json``.

Pure. Ratios come from least squares on logarithms (effects.py); every figure that rests on several trials has its
interval beside it, or None where the run cannot give one. Figures that were not measured are None, never invented.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import combinations as subsets
from statistics import mean, median
from typing import Any

from m2bench.plan.designs import choose_combinations, count_trials
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.description import LayerDescription
from m2bench.records.results import Evidence, TrialResult
from m2bench.records.spec import RunSpec, TrialKind
from m2bench.records.trials import RunRecord, StoredTrial, settled
from m2bench.records.wrong_device import wrong_device
from m2bench.statistics.effects import Effects, Observation, holm, shapley_weights
from m2bench.statistics.estimate import Estimate, named, typical
from m2bench.statistics.prediction import Prediction
from m2bench.statistics.steady import steady_from, steady_speed

from .claims import also_claimed, attribute_gains, is_rated, judge_claim, smallest_effect_seen
from .learning import Learning
from .noise import describe_conditions, is_disturbed, measure_noise
from .recommendation import recommend
from .sweep import summarize_sweep
from .usage import summarize_usage

SUMMARY_SCHEMA = 1
# The worst status among a combination's trials is the combination's.
SEVERITY = ("ok", "unsupported", "not-engaged", "failed")

Document = dict[str, Any]
Response = Callable[[StoredTrial], float | None]


def summarize(run: str, record: RunRecord, attempts: list[StoredTrial]) -> Document:
    """The summary document of a run, finished or not, from all that it has stored."""
    spec, description, trials = record.spec, record.description, settled(attempts)
    unfinished = _unfinished(record, trials)
    learning, sweep = Learning(record, trials), summarize_sweep(spec, trials)
    trials = [trial for trial in trials if trial.spec.kind == "speed"]
    by_layers = _by_layers(trials)
    speeds = _effects(spec.layers, _counted(by_layers), _speed)
    combinations = [
        _summarize_combination(by_layers[layers], layers, speeds, learning, record)
        for layers in choose_combinations(spec.layers, spec.design)
    ]
    _add_break_even(combinations, [layer.name for layer in description.layers if layer.compiles], speeds)
    sound, noise = sound_trials(trials), measure_noise(by_layers[BASELINE])
    attribution = speed_effects(spec, trials)
    prediction = Prediction(attribution)
    for c in combinations:
        # Of what computes something else its own trials tell, and they are no part of the prediction.
        c.update(named("speedup_predicted", prediction.ratio(tuple(c["layers"])) if is_rated(c) else None))
    rated = [c for c in combinations if is_rated(c)]
    arriving = [c for c in rated if c["time_to_target_s"] is not None and not c["time_to_target_modelled"]]
    soonest = min(arriving, key=lambda c: float(c["time_to_target_s"]), default=None)
    described = [layer for layer in description.layers if layer.name in spec.layers]
    layers = _summarize_layers(described, sound, attribution, learning)
    return {
        "schema": SUMMARY_SCHEMA,
        "run": run,
        "started": record.started,
        "trials_done": len(trials),
        "trials_planned": count_trials(spec),
        "unfinished": unfinished,
        "device": description.device.device,
        "device_faults": record.prepared.device_faults or [],
        "machine": description.facts,
        "peak_flops": record.prepared.peak_flops,
        "claimed_together": description.claimed_together,
        "workload": {**description.workload.facts, "spec": spec.to_json()},
        "noise": {
            **asdict(noise),
            "anchors": _anchors(trials),
            "conditions": {
                **_conditions(trials, attribution, record),
                "repeated_trials": sum(trial.spec.repeats is not None for trial in attempts),
            },
            **_timing(sound),
            "trial_sd": attribution.scatter and math.expm1(attribution.scatter.sd),
            "scatter_groups": [asdict(group) for group in attribution.scatter.groups] if attribution.scatter else [],
            "min_detectable": smallest_effect_seen(attribution),
            "outliers": attribution.outliers(),
            "lack_of_fit_p": attribution.lack_of_fit_p(),
        },
        "combinations": combinations,
        "layers": layers,
        "gains": attribute_gains(layers, attribution),
        "interactions": _interactions(attribution),
        **named("total_speedup", attribution.ratio(attribution.layers)),
        "total_layers": list(attribution.layers),
        "main_effects_mixed": attribution.mixed,
        "best": max(rated, key=lambda c: float(c["speedup_predicted"] or c["speedup"]), default=None),
        "soonest": soonest,
        **named(
            "soonest_gain",
            None if soonest is None else _sooner(tuple(soonest["layers"]), BASELINE, prediction, learning),
        ),
        "recommended": recommend(
            spec.layers,
            combinations,
            prediction,
            lambda over, under: _sooner(over, under, prediction, learning),
            learning.spoiling,
            spec.blocks,
            attribution.blocks_missing(spec.blocks),
        ),
        "learning": learning.document(),
        "sweep": sweep,
        "gates": _gates_cost(record, trials),
    }


def _conditions(trials: list[StoredTrial], attribution: Effects, record: RunRecord) -> Document:
    """What the machine did besides, and what makes every figure doubtful: before all else a device that is wrong."""
    found = describe_conditions(trials, math.exp(attribution.scatter.sd) if attribution.scatter else None)
    faults = record.prepared.device_faults
    if faults:
        wrong = f"{wrong_device(record.description.device, faults)}: no figure here means anything"
        found["warnings"] = [wrong, *found["warnings"]]
    return found


def _unfinished(record: RunRecord, trials: list[StoredTrial]) -> TrialKind | None:
    """The kind of the trial that would be run next; None for a finished run."""
    following = next(remaining_trials(record.spec, record.description, lambda: trials), None)
    return None if following is None else following.kind


def speed_effects(spec: RunSpec, trials: list[StoredTrial]) -> Effects:
    """Fits of the speeds that say what a run's layers are worth."""
    return _effects(_layers_that_ran(spec.layers, trials), sound_trials(trials), _speed)


def _layers_that_ran(layers: Layers, trials: list[StoredTrial]) -> Layers:
    """All but the layers none of whose trials came out sound: what is left is a smaller design of its own."""
    sound = {layer for trial in sound_trials(trials) for layer in trial.spec.layers}
    tried = {layer for trial in trials if trial.spec.kind == "speed" for layer in trial.spec.layers}
    return tuple(layer for layer in layers if layer in sound or layer not in tried)


def sound_trials(trials: list[StoredTrial]) -> list[StoredTrial]:
    """The speed trials of combinations whose layers were all at work, and that compute what the plain trainer does.

    What computes something else keeps its own row, but says nothing about what a layer is worth.
    """
    counted = _counted(_by_layers(trial for trial in trials if trial.spec.kind == "speed"))
    changed = {t.spec.layers for t in counted if not t.timed.same_numerics}
    return [trial for trial in counted if trial.spec.layers not in changed]


def _anchors(trials: list[StoredTrial]) -> list[Document]:
    """The baselines that are ok: as the how-manieth speed trial each was run, and how fast it was."""
    return [
        {"key": trial.spec.key, "trial": number, "episodes_per_min": steady_speed(trial.timed)}
        for number, trial in enumerate(trials, 1)
        if trial.spec.layers == BASELINE and trial.status == "ok"
    ]


def _timing(trials: list[StoredTrial]) -> Document:
    """How well the windows themselves are timed: the mean's relative standard error, and the timer's part in it."""
    errors = [error for trial in trials if (error := trial.timed.window_error) is not None]
    return {
        "window_error": median(errors) if errors else None,
        "window_error_worst": max(errors, default=None),
        "timer_share_worst": max((trial.timed.timer_share for trial in trials), default=None),
    }


def _by_layers(trials: Iterable[StoredTrial]) -> dict[Layers, list[StoredTrial]]:
    by_layers: dict[Layers, list[StoredTrial]] = defaultdict(list)
    for trial in trials:
        by_layers[trial.spec.layers].append(trial)
    return by_layers


def _counted(by_layers: dict[Layers, list[StoredTrial]]) -> list[StoredTrial]:
    """The trials that figures rest on: a toggle that did nothing even once gets no number."""
    return [
        trial
        for trials in by_layers.values()
        for trial in trials
        if trial.status == "ok" and all(other.status != "not-engaged" for other in trials)
    ]


def _effects(layers: Layers, trials: Iterable[StoredTrial], response: Response) -> Effects:
    values = [(trial.spec, response(trial)) for trial in trials]
    observed = (Observation(t.key, t.layers, t.mini_blocks, value) for t, value in values if value is not None)
    return Effects(layers, observed)


def _speed(trial: StoredTrial) -> float:
    return steady_speed(trial.timed)


def _energy_j(trial: StoredTrial) -> float | None:
    """Joules of an episode; None too where a coarse counter did not move during a short window."""
    return trial.timed.energy_j_per_episode or None


def _sooner(over: Layers, under: Layers, speeds: Prediction, learning: Learning) -> Estimate | None:
    """How many times sooner than another a combination reaches the target."""
    faster, needed = speeds.ratio(over, under), learning.episodes_ratio(over, under)
    return None if faster is None or needed is None else faster.over(needed)


def _summarize_combination(
    trials: list[StoredTrial], layers: Layers, speeds: Effects, learning: Learning, record: RunRecord
) -> Document:
    status, reason = _worst(trials)
    good = [trial for trial in trials if trial.status == "ok" and status != "not-engaged"]
    results = [trial.timed for trial in good]
    level = speeds.level(layers) if good else None
    return {
        "layers": list(layers),
        "status": status,
        "reason": reason,
        "trials": len(trials),
        "trials_ok": len(good),
        "trials_behind": [_trial_behind(trial) for trial in trials],
        **named("episodes_per_min", level),
        **named("speedup", speeds.ratio(layers) if good else None),
        **named("ms_per_episode", level and level.inverse().scaled(60_000)),
        **named("env_steps_per_s", typical(r.env_steps_per_s for r in results)),
        **named("setup_s", typical(r.setup_s for r in results)),
        **named("warmup_s", typical(_warmup_s(r) for r in results)),
        **named("compile_s", typical(r.compile_s for r in results if r.compile_s and _cache(r) != "cold")),
        "compile_cold_s": max(
            (r.compile_s for r in results if r.compile_s is not None and _cache(r) == "cold"), default=None
        ),
        **named("peak_memory_mb", typical(r.peak_memory_mb.main_mb for r in results)),
        **named("energy_j_per_episode", typical(e for r in results if (e := r.energy_j_per_episode) is not None)),
        **summarize_usage(good, level, record.prepared.peak_flops, record.description.device.telemetry is not None),
        "eval_return": mean(r.eval_return for r in results) if results else None,
        "steady_trials": sum(steady_from(r.update_s) is not None for r in results),
        "evidence": _evidence(results),
        **_numerics(results),
        **learning.of_combination(layers, level),
    }


def _trial_behind(trial: StoredTrial) -> Document:
    """What a reader needs to find a trial again, and to see whether it is one of a kind."""
    speed = None if trial.result is None else steady_speed(trial.timed)
    return {"key": trial.spec.key, "status": trial.status, "started": trial.started, "episodes_per_min": speed}


def _add_break_even(combinations: list[Document], compiling: list[str], speeds: Effects) -> None:
    """After how many episodes the seconds of compiling have come back, against the same layers without.

    None where it is not shown that compiling gains anything.
    """
    by_layers = {tuple(c["layers"]): c["episodes_per_min"] for c in combinations}
    for c in combinations:
        layers = tuple(c["layers"])
        plain = tuple(layer for layer in layers if layer not in compiling)
        gain = speeds.ratio(layers, plain) if plain != layers else None
        for seconds, name in (("compile_s", "break_even_episodes"), ("compile_cold_s", "break_even_cold_episodes")):
            c.update(
                named(
                    name,
                    None
                    if gain is None or c[seconds] is None
                    else _break_even(c[seconds] * by_layers[plain] / 60, gain),
                )
            )


def _break_even(plain_episodes: float, gain: Estimate) -> Estimate | None:
    """Episodes until a gain in speed has brought back the time in which so many could be had without it.

    The interval is the gain's: what is uncertain of the time is little beside it.
    """
    ends = gain.interval or (gain.ratio, gain.ratio)
    if ends[0] <= 1:
        return None
    soonest, latest = (plain_episodes / (1 - 1 / end) for end in reversed(ends))
    return Estimate(plain_episodes / (1 - 1 / gain.ratio), gain.interval and (soonest, latest))


def _worst(trials: list[StoredTrial]) -> tuple[str | None, str | None]:
    """Status and reason of the worst trial; None for a combination that was not reached."""
    if not trials:
        return None, "not run yet"
    worst = max(trials, key=lambda trial: SEVERITY.index(trial.status))
    log = f" (log: {worst.log})" if worst.status == "failed" else ""
    return worst.status, None if worst.reason is None else worst.reason + log


def _warmup_s(result: TrialResult) -> float:
    """Seconds of updates after the first, which compiles, that were left out of the speed."""
    return sum(result.warmup_update_s[1:]) + sum(result.update_s[: steady_from(result.update_s) or 0])


def _cache(result: TrialResult) -> str | None:
    """Either "cold" or "warm" where something was compiled, else None."""
    caches = [proof.evidence.get("cache") for proof in result.proofs.values()]
    return next((cache for cache in caches if cache is not None), None)


def _evidence(results: list[TrialResult]) -> dict[str, list[Evidence]]:
    """What each layer left as proof that it was at work, trial by trial."""
    layers = results[0].proofs if results else {}
    return {layer: [result.proofs[layer].evidence for result in results] for layer in layers}


def _numerics(results: list[TrialResult]) -> Document:
    """What the gates of a combination's trials found: same only when every gate of every trial said so."""
    if not results or not all(result.numerics for result in results):
        return {"numerics": None, "numerics_reason": "no gate was run" if results else None, "gates": None}
    names = list(results[0].numerics)
    reasons = {
        name: next((r.numerics[name].reason for r in results if not r.numerics[name].same), None) for name in names
    }
    changed = {name: reason for name, reason in reasons.items() if reason is not None}
    return {
        "numerics": "changed" if changed else "same",
        "numerics_reason": "; ".join(f"{name}: {reason}" for name, reason in changed.items()) or None,
        "gates": {name: [r.numerics[name].evidence for r in results] for name in names},
    }


def _gates_cost(record: RunRecord, trials: list[StoredTrial]) -> dict[str, float]:
    """Seconds that preparing and passing the gates took, over all trials so far."""
    passed = sum(trial.timed.numerics_s for trial in trials if trial.result)
    return {"prepare_s": record.prepared.prepare_s, "trials_s": passed}


def _summarize_layers(
    described: list[LayerDescription], trials: list[StoredTrial], speeds: Effects, learning: Learning
) -> list[Document]:
    disturbed = is_disturbed(trials)
    responses = {
        "peak_memory_mb": _effects(speeds.layers, trials, lambda trial: trial.timed.peak_memory_mb.main_mb),
        "energy_j_per_episode": _effects(speeds.layers, trials, _energy_j),
    }
    names = [layer.name for layer in described]
    attributed = _attribute(names, speeds)
    others = {name: _attribute(names, effects) for name, effects in responses.items()}
    documents = []
    for layer in described:
        name, claim = layer.name, layer.claim
        measured = _claimed_response(claim.phase, speeds, trials).ratio((name,))
        verdict = judge_claim(layer, measured, disturbed)
        learned = learning.of_layer(name)
        alone, needed = speeds.ratio((name,)), learning.episodes_needed(name)
        to_target = None if alone is None or needed is None else alone.over(needed)
        shown = alone is not None and alone.interval is not None and alone.interval[0] > 1
        survives = shown and to_target is not None and to_target.ratio > 1
        documents.append(
            {
                "name": name,
                "part": layer.part,
                "difficulty": claim.difficulty,
                "priority": claim.priority,
                "claim": [claim.low, claim.high],
                "claim_text": claim.text,
                "claim_phase": claim.phase,
                **attributed[name],
                **named("claimed_effect", measured),
                "verdict": verdict and verdict.verdict,
                "verdict_sentence": verdict
                and verdict.sentence
                + also_claimed(claim, others["peak_memory_mb"][name], learning.setbacks(name), learned["learning"]),
                "reason": layer.unsupported,
                **learned,
                **named("time_to_target", to_target),
                **named("gain_surviving", needed.inverse() if survives and needed is not None else None),
                "responses": {
                    "time_to_target_s": _attribute_time(name, speeds, learning),
                    **{response: effects[name] for response, effects in others.items()},
                },
            }
        )
    return documents


def _claimed_response(phase: str | None, speeds: Effects, trials: list[StoredTrial]) -> Effects:
    """What a claim is about: episodes per minute, or how fast one phase is."""
    if not phase:
        return speeds

    def phase_speed(trial: StoredTrial) -> float | None:
        milliseconds = trial.timed.phase_ms_per_episode.get(phase)
        return 1 / milliseconds if milliseconds else None

    return _effects(speeds.layers, trials, phase_speed)


def _attribute(names: list[str], effects: Effects) -> dict[str, Document]:
    """What each layer does to a response: alone, added last, on average, and its share of the total."""
    layers = effects.layers
    main = {layer: effects.main_effect(layer) for layer in names}
    adjusted = _holm({layer: effect.p for layer, effect in main.items() if effect is not None})
    robust = effects.robust_main_effects() or {}
    attributed = {}
    for layer in names:
        without = tuple(other for other in layers if other != layer)
        shapley, model_based = effects.shapley(layer)
        attributed[layer] = {
            **named("alone", effects.ratio((layer,))),
            **named("last", effects.ratio(layers, without) if layer in layers else None),
            **named("main_effect", main[layer]),
            "main_effect_p_holm": adjusted.get(layer),
            "robust_main_effect": robust.get(layer),
            **named("shapley", shapley),
            "model_based": model_based and shapley is not None,
            **named("share", effects.share(layer)),
        }
    return attributed


def _attribute_time(layer: str, speeds: Effects, learning: Learning) -> Document:
    """What a layer does to the seconds to the target: to the episodes that it takes, over what it does to the speed.

    Both are uncertain, and measured in different trials, so their variances add.
    """
    without = tuple(other for other in speeds.layers if other != layer)
    contrasts: dict[str, dict[Layers, float]] = {"alone": {}, "last": {}, "shapley": {}}
    if layer in speeds.layers:
        contrasts = {
            "alone": {(layer,): 1.0, BASELINE: -1.0},
            "last": {speeds.layers: 1.0, without: -1.0},
            "shapley": shapley_weights(speeds.layers, layer),
        }
    document: Document = {}
    for name, weights in contrasts.items():
        episodes, speed = (learning.contrast(weights), speeds.contrast(weights)) if weights else (None, None)
        document |= named(name, None if episodes is None or speed is None else episodes.over(speed))
    return document


def _interactions(effects: Effects) -> list[Document] | None:
    """Every pair of layers: the ratio of one with the other on, over the same with the other off."""
    found = {pair: effects.interaction(pair) for pair in subsets(effects.layers, 2)}
    estimates = {pair: estimate for pair, estimate in found.items() if estimate is not None}
    if not estimates:
        return None
    adjusted = _holm({pair: estimate.p for pair, estimate in estimates.items()})
    return [
        {"pair": list(pair), "effect": estimate.ratio, "ci": estimate.interval, "p_holm": adjusted.get(pair)}
        for pair, estimate in estimates.items()
    ]


def _holm(p_values: dict[Any, float | None]) -> dict[Any, float]:
    known = {key: p for key, p in p_values.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))

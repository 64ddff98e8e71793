"""The row of each combination, from its own trials and from the fits of all trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.records.results import Evidence, TrialResult
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of, typical
from m2bench.statistics.steady import steady_from, steady_speed
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.summary.rows import CombinationRow, Numerics, NumericsReasons, TrialBehind

from .learning import Learning
from .usage import summarize_usage

# The worst status among a combination's trials is the combination's.
SEVERITY = ("ok", "unsupported", "not-engaged", "failed")


def summarize_combination(
    trials: list[StoredTrial],
    attempts: list[StoredTrial],
    layers: Layers,
    speeds: Effects,
    learning: Learning,
    record: RunRecord,
    checked: bool,
) -> CombinationRow:
    """The row of one combination, without the figures that need the rows of others.

    ``attempts``: the trials, and those that were run again because of other load. ``checked``: whether the system
    offers checks of its numerics.
    """
    status, reason = worst_outcome(trials)
    good = [trial for trial in trials if trial.status == "ok" and status != "not-engaged"]
    results = [trial.timed for trial in good]
    level = speeds.level(layers) if good else None
    is_metric = record.description.system.rate.is_metric
    return CombinationRow(
        layers=layers,
        status=status,
        reason=reason,
        trials=len(trials),
        trials_ok=len(good),
        trials_behind=tuple(_trial_behind(trial) for trial in trials),
        episodes_per_min=figure_of(level),
        speedup=figure_of(speeds.ratio(layers) if good else None),
        ms_per_episode=None if is_metric else figure_of(level and level.inverse().scaled(60_000)),
        env_steps_per_s=figure_of(typical(r.env_steps_per_s for r in results if r.env_steps_per_s is not None)),
        setup_s=figure_of(typical(r.setup_s for r in results if r.setup_s is not None)),
        warmup_s=figure_of(typical(_warmup_s(r) for r in results if r.warmup_update_s)),
        compile_s=figure_of(typical(r.compile_s for r in results if r.compile_s and _cache(r) != "cold")),
        compile_cold_s=_compile_cold_s(attempts) if good else None,
        peak_memory_mb=figure_of(typical(mb for r in results if (mb := r.peak_memory_mb.main_mb) is not None)),
        energy_j_per_episode=figure_of(typical(e for r in results if (e := r.energy_j_per_episode) is not None)),
        usage=summarize_usage(good, level, record.prepared, record.description.device),
        eval_return=_mean([r.eval_return for r in results if r.eval_return is not None]),
        steady_trials=sum(steady_from(r.update_s) is not None for r in results),
        evidence=_evidence(results),
        numerics=_numerics(results, checked),
        learning=learning.of_combination(layers, level),
    )


def worst_outcome(trials: list[StoredTrial]) -> tuple[str | None, str | None]:
    """Status and reason of the worst trial; None where none was reached."""
    if not trials:
        return None, "not run yet"
    worst = max(trials, key=lambda trial: SEVERITY.index(trial.status))
    log = f" (log: {worst.log})" if worst.status == "failed" else ""
    return worst.status, None if worst.reason is None else worst.reason + log


def _trial_behind(trial: StoredTrial) -> TrialBehind:
    """What a reader needs to find a trial again, and to see whether it is one of a kind."""
    speed = None if trial.result is None else steady_speed(trial.timed)
    return TrialBehind(trial.spec.key, trial.status, trial.started, speed)


def _warmup_s(result: TrialResult) -> float:
    """Seconds of updates after the first, which compiles, that were left out of the speed."""
    return sum(result.warmup_update_s[1:]) + sum(result.update_s[: steady_from(result.update_s) or 0])


def _compile_cold_s(attempts: list[StoredTrial]) -> float | None:
    """Seconds of the first compilation. It happens once in a run, maybe in a trial that was run again later."""
    results = [trial.timed for trial in attempts if trial.status == "ok"]
    return max((r.compile_s for r in results if r.compile_s is not None and _cache(r) == "cold"), default=None)


def _cache(result: TrialResult) -> str | None:
    """Either "cold" or "warm" where something was compiled, else None."""
    caches = [proof.evidence.get("cache") for proof in result.proofs.values()]
    return next((cache for cache in caches if cache is not None), None)


def _evidence(results: list[TrialResult]) -> dict[str, tuple[Evidence, ...]]:
    """What each layer left as proof that it was at work, trial by trial."""
    layers = results[0].proofs if results else {}
    return {layer: tuple(result.proofs[layer].evidence for result in results) for layer in layers}


def _mean(values: list[float]) -> float | None:
    return mean(values) if values else None


def _numerics(results: list[TrialResult], checked: bool) -> Numerics:
    """What the numerics checks of a combination's trials found: same only when every check of every trial said so.

    Unchecked where one could not tell, and none found a difference.
    """
    if not results:
        return Numerics()
    if not checked:
        return Numerics(numerics="unchecked")
    if not all(result.numerics for result in results):
        return Numerics(reasons=NumericsReasons({}))
    names = list(results[0].numerics)
    changed, untold = (_reasons(results, names, same) for same in (False, None))
    return Numerics(
        numerics="changed" if changed else "unchecked" if untold else "same",
        reasons=NumericsReasons(changed or untold) if changed or untold else None,
        checks={name: tuple(r.numerics[name].evidence for r in results) for name in names},
    )


def _reasons(results: list[TrialResult], names: list[str], same: bool | None) -> dict[str, str]:
    """By check, the first reason that its trials give for this answer; only the checks that gave it."""
    found = {name: [r.numerics[name] for r in results if r.numerics[name].same is same] for name in names}
    return {name: checks[0].reason or "no reason given" for name, checks in found.items() if checks}


def with_break_even(rows: Sequence[CombinationRow], compiling: list[str], speeds: Effects) -> list[CombinationRow]:
    """The rows with the episodes after which compiling has paid back the seconds it took.

    Compared with the same layers without those that compile. None where no gain from compiling is shown.
    """
    by_layers = {row.layers: row.episodes_per_min for row in rows}
    return [_with_break_even(row, compiling, speeds, by_layers) for row in rows]


def _with_break_even(
    row: CombinationRow, compiling: list[str], speeds: Effects, by_layers: dict[Layers, Figure | None]
) -> CombinationRow:
    plain = tuple(layer for layer in row.layers if layer not in compiling)
    gain, plain_speed = speeds.ratio(row.layers, plain) if plain != row.layers else None, by_layers.get(plain)
    if gain is None or plain_speed is None:
        return row
    warm_s = row.compile_s and row.compile_s.value
    warm, cold = (
        None if seconds is None else _break_even(seconds * plain_speed.value / 60, gain)
        for seconds in (warm_s, row.compile_cold_s)
    )
    return replace(row, break_even_episodes=warm, break_even_cold_episodes=cold)


def _break_even(plain_episodes: float, gain: Estimate) -> Figure | None:
    """Episodes until a gain in speed has paid back the time that ``plain_episodes`` take without it.

    The interval is that of the gain, beside which the uncertainty of the time is small.
    """
    ends = gain.interval or (gain.ratio, gain.ratio)
    if ends[0] <= 1:
        return None
    soonest, latest = (plain_episodes / (1 - 1 / end) for end in reversed(ends))
    return Figure(plain_episodes / (1 - 1 / gain.ratio), gain.interval and (soonest, latest))

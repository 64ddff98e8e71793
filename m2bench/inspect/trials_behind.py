"""``report --trace``: from a figure back to the trials behind it. Pure: takes stored trials, gives tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from statistics import geometric_mean
from typing import NoReturn

from m2bench.errors import UserError
from m2bench.findings.judged_trials import judge_trials
from m2bench.findings.learning import Learning
from m2bench.findings.responses import sound_trials, speed_effects
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.results import TrialResult
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.steady import steady_speed
from m2bench.store.stored_trial import RunRecord, StoredTrial
from m2bench.text.figures import NOTHING, digits, times, times_within
from m2bench.text.speed import Speed
from m2bench.text.tables import Table


def trace(record: RunRecord, trials: list[StoredTrial], name: str) -> list[Table]:
    """The trials behind the figures of a layer, of a combination (``a+b``, ``baseline``), of an interaction (``a*b``),
    of the noise and the drift (``noise``), or of what was learned (``learning``).

    Raises UserError for any other name, for learning where there are no trials of it, and for a run of ``scale``.
    """
    record.refuse_without_layers()
    trials = judge_trials(record, trials).trials
    spec, level = record.spec, Speed.of(record.description.system)
    if name in spec.layers:
        learning, effects = Learning(record, trials), speed_effects(spec, trials)
        with_it, without = spec.rules.alone(name, spec.layers)
        return [
            _layer_figures(name, effects),
            _pairs(name, effects, trials, level),
            *([_seeds(name, learning)] if learning.layers.verdicts[name].verdict != "not told" else []),
            _trials(trials, with_it, level),
            _trials(trials, without, level),
        ]
    if name == "learning":
        return _learning(record, trials)
    pair = tuple(name.split("*"))
    if len(pair) == 2 and set(pair) <= set(spec.layers):
        effects = speed_effects(spec, trials)
        return [
            _figures(name, {"interaction": effects.interaction((pair[0], pair[1]))}, effects),
            _interaction(trials, pair, level),
        ]
    layers = () if name in ("baseline", "noise") else tuple(name.split("+"))
    chosen = tuple(layer for layer in spec.layers if layer in layers)
    if set(chosen) != set(layers):
        _refuse_name(name, spec.layers, trials)
    return [_trials(trials, chosen, level)]


def _refuse_name(name: str, layers: Layers, trials: list[StoredTrial]) -> NoReturn:
    if any(isinstance(trial.result, TrialResult) and name in trial.result.metrics for trial in trials):
        raise UserError(
            f"{name!r} is a metric, and what is traced is a layer or a combination, with all its metrics.",
            f"The layers are: {', '.join(layers)}; the command as it is: --trace baseline.",
        )
    raise UserError(
        f"{name!r} is neither a layer of this run nor a combination of its layers.",
        f"The layers are: {', '.join(layers)}; a combination is written a+b, or baseline, an interaction a*b; "
        "there are noise and learning as well.",
    )


def _refuse_untold_learning(record: RunRecord) -> NoReturn:
    off = "it was run with --learning off" if record.spec.learning == "off" else "none was run yet"
    advice = f"Ask for a layer: --trace {record.spec.layers[0]}." if record.spec.layers else ""
    if record.description.workload.own_program:
        advice = "Let it print its loss, and give that as one more --metric: each trial's stands in --trace baseline."
    raise UserError(f"there are no learning trials: {record.description.system.no_target_because or off}.", advice)


def _layer_figures(layer: str, effects: Effects) -> Table:
    shapley, modelled = effects.shapley(layer)
    figures = {
        "alone": effects.alone(layer),
        "added last": effects.last(layer),
        "main effect": effects.main_effect(layer),
        "Shapley value" + " (model-based)" * modelled: shapley,
    }
    return _figures(layer, figures, effects)


def _figures(name: str, figures: dict[str, Estimate | None], effects: Effects) -> Table:
    """The fitted effects, in the order in which reports name them."""
    rows = [
        (
            figure,
            times_within(figure_of(estimate)),
            NOTHING if estimate is None or estimate.p is None else f"{estimate.p:.2g}",
        )
        for figure, estimate in figures.items()
    ]
    scatter = ""
    if effects.scatter is not None:
        degrees = f"{effects.scatter.degrees:.0f} degrees of freedom"
        scatter = f"; standard deviation of one trial {effects.scatter.sd:.1%} ({degrees})"
    columns = ("figure", "ratio [95 % interval]", "p of no effect")
    title = f"Fitted effects of {name}: {len(effects.observations)} trials{scatter}"
    return Table(title, columns, rows, frozenset(columns[1:]))


def _seeds(layer: str, learning: Learning) -> Table:
    """What the layer did to learning, seed by seed: its verdict and its episodes needed are made of these."""
    found = learning.layers.judged[layer]
    rows = [
        (
            str(seed),
            NOTHING if seed not in found.distances else f"{found.distances[seed]:+.1%}",
            times(math.exp(found.log_ratios[seed]) if seed in found.log_ratios else None),
        )
        for seed in sorted({*found.distances, *found.log_ratios})
    ]
    columns = ("seed", f"difference of {found.curves}", f"ratio of {learning.layers.unit.many} {found.arrival}")
    return Table(f"Effect of {layer} on learning, by seed", columns, rows, frozenset(columns[1:]))


def _trials(trials: list[StoredTrial], layers: Layers, level: Speed) -> Table:
    """Every trial of one combination, as stored, with all metrics of a command."""
    told = [
        (trial, trial.result.metrics if isinstance(trial.result, TrialResult) else {})
        for trial in trials
        if trial.spec.layers == layers
    ]
    _, *others = dict.fromkeys(chain(*(metrics for _, metrics in told))) or [""]  # the first is the one that is ranked
    rows = [
        (
            trial.spec.key,
            " ".join(map(str, trial.spec.mini_blocks)) or NOTHING,
            trial.started,
            trial.status,
            level.digits(steady_speed(trial.result) if isinstance(trial.result, TrialResult) else None),
            digits(trial.episodes_to_target),
            *(digits(metrics.get(name), fine=True) for name in others),
            trial.log or NOTHING,
        )
        for trial, metrics in told
    ]
    to_target = f"{level.unit.many} to target"
    columns = ("trial", "mini-blocks", "started", "status", level.heading, to_target, *others, "log")
    return Table(
        f"Trials of {combination_name(layers)}", columns, rows, frozenset(columns[4:-1])
    ).without_empty_columns()


def _learning(record: RunRecord, trials: list[StoredTrial]) -> list[Table]:
    """The learning trials, or the effects that were found in what the speed trials report."""
    learning = Learning(record, trials)
    if any(trial.spec.kind == "learning" for trial in trials):
        return [_learned(trials, learning.layers.unit.many)]
    if learning.layers.told is None:
        _refuse_untold_learning(record)
    return [_seeds(layer, learning) for layer in record.spec.layers]


def _learned(trials: list[StoredTrial], units: str) -> Table:
    """Every learning trial: episodes to target of the same seed are compared with each other."""
    rows = [
        (
            trial.spec.key,
            combination_name(trial.spec.layers),
            str(trial.spec.seed),
            trial.status,
            digits(trial.episodes_to_target),
            trial.log or NOTHING,
        )
        for trial in trials
        if trial.spec.kind == "learning"
    ]
    columns = ("trial", "layers", "seed", "status", f"{units} to target", "log")
    return Table("Learning trials", columns, rows, frozenset(columns[4:5]))


def _interaction(trials: list[StoredTrial], pair: tuple[str, ...], level: Speed) -> Table:
    """The means of which the interaction of two layers is made: with both off, one on, the other on, both on."""
    speeds: dict[tuple[bool, ...], list[float]] = defaultdict(list)
    for trial in sound_trials(trials):
        speeds[tuple(layer in trial.spec.layers for layer in pair)].append(steady_speed(trial.timed))
    states = ((False, False), (False, True), (True, False), (True, True))
    rows = [(*("yes" if on else "no" for on in state), *_mean_and_count(speeds[state], level)) for state in states]
    columns = (*pair, f"{level.heading} (geometric mean)", "trials")
    return Table(f"Trials with and without {pair[0]} and {pair[1]}", columns, rows, frozenset(columns[2:]))


def _mean_and_count(speeds: list[float], level: Speed) -> tuple[str, str]:
    return level.digits(geometric_mean(speeds) if speeds else None), str(len(speeds))


def _pairs(layer: str, effects: Effects, trials: list[StoredTrial], level: Speed) -> Table:
    """Every pair of combinations that differ in the layer: the pairs whose ratios its effects are made of.

    The ratios here are of plain geometric means; the fit also takes out the level of each mini-block. Where too many
    combinations are missing for a Shapley value, only those that were measured are shown.
    """
    speeds: dict[Layers, list[float]] = defaultdict(list)
    for trial in sound_trials(trials):
        speeds[trial.spec.layers].append(steady_speed(trial.timed))
    weights: Mapping[Layers, float | None] = effects.shapley_weights(layer) or dict.fromkeys(effects.cells)
    rows = []
    for with_it in sorted((c for c in weights if layer in c), key=lambda c: (len(c), c)):
        without = tuple(x for x in with_it if x != layer)
        pair = [geometric_mean(speeds[c]) if speeds[c] else None for c in (without, with_it)]
        ratio = None if pair[0] is None or pair[1] is None else pair[1] / pair[0]
        counts = f"{len(speeds[without])}, {len(speeds[with_it])}"
        rows.append(
            (
                combination_name(without),
                *map(level.digits, pair),
                times(ratio),
                counts,
                NOTHING if (weight := weights[with_it]) is None else f"{weight:.1%}",
            )
        )
    columns = ("other layers", f"{level.heading} without", "with", "ratio", "trials", "weight in the Shapley value")
    return Table(
        f"Effect of {layer} next to every combination of the other layers", columns, rows, frozenset(columns[1:])
    )

"""The row of each layer: what was claimed, measured and judged; and the interactions of pairs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations as subsets
from typing import TypeVar

from m2bench.records.combinations import Layers
from m2bench.records.description import LayerDescription, SystemDescription
from m2bench.statistics.effects import Effects
from m2bench.statistics.estimate import Estimate, figure_of
from m2bench.statistics.multiple_tests import holm
from m2bench.store.stored_trial import StoredTrial
from m2bench.summary.ablation_summary import Interaction
from m2bench.summary.rows import Attribution, Claimed, Engagement, LayerRow, Responses, TimeAttribution
from m2bench.text.speed import Speed

from .claims import also_claimed, judge_claim
from .learning import Learning
from .noise import is_disturbed
from .responses import energy_j, fit, peak_memory_mb

Key = TypeVar("Key", bound=Hashable)


def summarize_layers(
    described: Sequence[LayerDescription],
    system: SystemDescription,
    trials: list[StoredTrial],
    speeds: Effects,
    learning: Learning,
    engagement: Mapping[str, Engagement],
) -> tuple[LayerRow, ...]:
    """A row per layer, from the sound trials."""
    names, disturbed = [layer.name for layer in described], is_disturbed(trials)
    speed, memory, energy = (
        _attribute(names, effects)
        for effects in (
            speeds,
            fit(speeds.layers, trials, peak_memory_mb, speeds.rules),
            fit(speeds.layers, trials, energy_j, speeds.rules),
        )
    )
    rows = []
    for layer in described:
        name, claim, learned = layer.name, layer.claim, learning.of_layer(layer.name)
        measured = _claimed_response(claim.phase, speeds, trials).alone(name) if claim else None
        verdict = judge_claim(layer, measured, disturbed, Speed.of(system).compared)
        to_target, surviving = _time_to_target(name, speeds, learning)
        rows.append(
            LayerRow(
                name=name,
                part=layer.part,
                difficulty=claim.difficulty if claim else None,
                priority=claim.priority if claim else None,
                claim=Claimed((claim.low, claim.high), claim.text, claim.phase) if claim else Claimed(),
                speed=speed[name],
                claimed_effect=figure_of(measured),
                verdict=verdict and verdict.verdict,
                verdict_sentence=verdict and verdict.sentence + _also_claimed(layer, memory[name], learning),
                reason=layer.unsupported,
                engagement=engagement[name],
                learning=learned,
                time_to_target=figure_of(to_target),
                gain_surviving=figure_of(surviving),
                responses=Responses(_attribute_time(name, speeds, learning), memory[name], energy[name]),
            )
        )
    return tuple(rows)


def _also_claimed(layer: LayerDescription, memory: Attribution, learning: Learning) -> str:
    """The rest of the sentence on a layer's claim."""
    if layer.claim is None:
        return ""
    setbacks, learned = learning.layers.setbacks(layer.name), learning.of_layer(layer.name).learning
    return also_claimed(layer.claim, memory.alone, setbacks, learned, learning.layers.unit)


def _time_to_target(name: str, speeds: Effects, learning: Learning) -> tuple[Estimate | None, Estimate | None]:
    """How many times sooner the layer alone arrives, and what is left of a gain in speed that is shown."""
    alone, needed = speeds.alone(name), learning.episodes.needed(name)
    if alone is None or needed is None:
        return None, None
    to_target = alone.over(needed)
    survives = alone.figure.shows_gain and to_target.ratio > 1
    return to_target, needed.inverse() if survives else None


def _claimed_response(phase: str | None, speeds: Effects, trials: list[StoredTrial]) -> Effects:
    """What a claim is about: episodes per minute, or how fast one phase is."""
    if not phase:
        return speeds

    def phase_speed(trial: StoredTrial) -> float | None:
        milliseconds = trial.timed.phase_ms_per_episode.get(phase)
        return 1 / milliseconds if milliseconds else None

    return fit(speeds.layers, trials, phase_speed, speeds.rules)


def _attribute(names: list[str], effects: Effects) -> dict[str, Attribution]:
    """What each layer does to a response: alone, added last, on average, and its share of the total."""
    main = {layer: effects.main_effect(layer) for layer in names}
    adjusted = _holm({layer: effect.p for layer, effect in main.items() if effect is not None})
    robust = effects.robust_main_effects() or {}
    attributed = {}
    for layer in names:
        shapley, model_based = effects.shapley(layer)
        attributed[layer] = Attribution(
            alone=figure_of(effects.alone(layer)),
            last=figure_of(effects.last(layer)),
            main_effect=figure_of(main[layer]),
            main_effect_p_holm=adjusted.get(layer),
            robust_main_effect=robust.get(layer),
            shapley=figure_of(shapley),
            model_based=model_based and shapley is not None,
            share=figure_of(effects.share(layer)),
        )
    return attributed


def _attribute_time(layer: str, speeds: Effects, learning: Learning) -> TimeAttribution:
    """What a layer does to the seconds to the target: its effect on the episodes, over its effect on the speed.

    Both are uncertain, and measured in different trials, so their variances add.
    """
    if layer not in speeds.layers:
        return TimeAttribution()
    pairs = (speeds.rules.alone(layer, speeds.layers), speeds.rules.last(layer, speeds.layers))
    contrasts: tuple[Mapping[Layers, float] | None, ...] = (
        *({over: 1.0, under: -1.0} for over, under in pairs),
        speeds.shapley_weights(layer),
    )
    seconds = [
        None if episodes is None or speed is None else episodes.over(speed)
        for episodes, speed in (
            (None, None) if weights is None else (learning.episodes.contrast(weights), speeds.contrast(weights))
            for weights in contrasts
        )
    ]
    return TimeAttribution(*map(figure_of, seconds))


def summarize_interactions(effects: Effects) -> tuple[Interaction, ...] | None:
    """Every pair of layers: the ratio of one with the other on, over the same with the other off."""
    found = {pair: effects.interaction(pair) for pair in subsets(effects.layers, 2)}
    estimates = {pair: estimate for pair, estimate in found.items() if estimate is not None}
    adjusted = _holm({pair: estimate.p for pair, estimate in estimates.items()})
    interactions = [Interaction(pair, each.figure, adjusted.get(pair)) for pair, each in estimates.items()]
    return tuple(interactions) or None


def _holm(p_values: Mapping[Key, float | None]) -> dict[Key, float]:
    known = {key: p for key, p in p_values.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))

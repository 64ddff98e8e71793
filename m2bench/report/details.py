"""The lines below the headline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from m2bench.records.combinations import combination_name
from m2bench.records.figure import Figure
from m2bench.summary.ablation_summary import Gains, Summary
from m2bench.summary.rows import LayerRow
from m2bench.text.figures import is_known, percent_within, times_within, within
from m2bench.text.speed import Speed

from .sentences import listed, recommended


def details(summary: Summary) -> list[str]:
    """The lines below the headline, the most important first."""
    found = (
        _learns_sooner(summary),
        _chosen_by_time(summary),
        _fastest(summary),
        _learns_otherwise(summary),
        what_layers_are_worth(summary if _recommends_layers(summary) else replace(summary, gains=None)),
    )
    return [f"{line}." for line in found if line]


def _recommends_layers(summary: Summary) -> bool:
    return summary.recommended is None or bool(summary.recommended.layers)


def _learns_sooner(summary: Summary) -> str:
    """How soon the recommended set learns; of another one, where that is the soonest."""
    chosen, soonest = recommended(summary), summary.soonest
    if chosen is None or soonest is None or chosen.layers != soonest.layers or not soonest.layers:
        return soonest_line(summary)
    if summary.soonest_gain is None or not is_known(summary.soonest_gain):
        return soonest_line(summary)
    return f"It reaches the learning target {_sooner(summary.soonest_gain)}"


def soonest_line(summary: Summary) -> str:
    """Which combination reaches the learning target first, and how much sooner; nothing where none arrives."""
    soonest, gain = summary.soonest, summary.soonest_gain
    if soonest is None:
        return ""
    if not soonest.layers:
        return "No combination reaches the learning target sooner than the baseline"
    first = f"{combination_name(soonest.layers)} reaches the learning target first"
    if gain is None:
        return f"{first}, of those whose time is known; the baseline's is not"
    return f"{first}, {_sooner(gain)}" if is_known(gain) else f"{first}; how much sooner is not known"


def _sooner(gain: Figure) -> str:
    unsure = "" if gain.shows_gain else " (not shown)"
    return f"{times_within(gain)} sooner than the baseline{unsure}"


def _chosen_by_time(summary: Summary) -> str:
    """What the time to the learning target would choose, where that is another set than the speed chooses."""
    advice = summary.recommended
    if advice is None or advice.by_time is None or advice.by_time.layers == advice.by_speed:
        return ""
    by_time, by_speed = advice.by_time, combination_name(advice.by_speed)
    name = combination_name(by_time.layers)
    if by_time.sooner is None or not is_known(by_time.sooner):
        return f"{name} may learn sooner than {by_speed}; by how much is not known"
    sooner = f"{times_within(by_time.sooner)} sooner than {by_speed}"
    if by_time.shown:
        return f"It is chosen because it reaches the learning target {sooner}, the best set by speed"
    return f"{name} is estimated to reach the learning target {sooner}, but this is not shown"


def _fastest(summary: Summary) -> str:
    """How the fastest combination compares with the recommended one; nothing where it is the same."""
    fastest = summary.recommended and summary.recommended.fastest
    if not fastest:
        return ""
    speed = Speed.of(summary.system)
    name, compared = combination_name(fastest.layers), speed.times(times_within(fastest.ratio), "this set")
    if fastest.ratio is None or not fastest.ratio.shows_gain:
        return f"{name} is estimated to {speed.words.infinitive} {compared}, but this is not shown"
    return f"{name} {speed.words.verb} {compared}, but not recommended: {fastest.but}"


def _learns_otherwise(summary: Summary) -> str:
    """Which layers change learning, and what that leaves of their speed, where there is no target."""
    told = summary.learning.told
    changed = [layer for layer in summary.layers if layer.learning.learning == "changed"]
    return "; ".join(_at_equal_units(layer, told) for layer in changed) if told else ""


def _at_equal_units(layer: LayerRow, told: str) -> str:
    """What a layer learns from equally many units, and so how much sooner or later it has learned the same."""
    speed, needed, sooner = layer.speed.alone, layer.learning.episodes_needed, layer.time_to_target
    fast = "" if speed is None else f"is {times_within(speed)} as fast, but "
    said = f"{layer.name} {fast}{layer.learning.learning_reason}"
    if needed is None or not is_known(needed):
        return f"{said}; how many it needs for the same mean {told} is not known"
    said += f": it needs {times_within(needed)} as many for the same mean {told}"
    if sooner is None or not is_known(sooner):
        return said
    when = f"{times_within(sooner)} sooner" if sooner.value > 1 else f"{times_within(_inverse(sooner))} later"
    unsure = "" if sooner.shows_effect else " (not shown)"
    return f"{said}, and has it {when}{unsure}"


def _inverse(ratio: Figure) -> Figure:
    return Figure(1 / ratio.value, ratio.interval and (1 / ratio.interval[1], 1 / ratio.interval[0]))


def what_layers_are_worth(summary: Summary) -> str:
    """Who makes the gains, who costs, who does nothing; by Shapley values and their intervals."""
    said = [] if summary.gains is None else [_gain(summary.gains)]
    costing = [(x.speed.shapley, x.name) for x in summary.layers if x.speed.shapley and x.speed.shapley.shows_loss]
    said += _costs(sorted(costing, key=lambda x: x[0].value), Speed.of(summary.system))
    said += [_mixed(layer) for layer in _unshown(summary) if _has_shown_effect(layer)]
    nothing = without_effect(summary)
    said += [f"{'no' if said else 'No'} measurable effect: {listed(nothing)}"] if nothing else []
    return "; ".join(said)


def _gain(gains: Gains) -> str:
    verb = "makes" if len(gains.makers) == 1 else "make"
    if gains.makers == gains.layers:
        share = "all"
    elif not is_known(gains.share, "%"):
        share = "an unknown share"
    else:
        share = percent_within(gains.share) + ("" if gains.share.interval else " (by a model, no interval)")
    return f"{listed(gains.makers)} {verb} {share} of the gain"


def _costs(costing: Sequence[tuple[Figure, str]], speed: Speed) -> list[str]:
    """What ratios below 1 take away; of a metric of which less is better, what they add to it."""
    if speed.rate.is_metric and speed.rate.lower_is_better:
        rises = [f"{name} raises {speed.label} by {_change(ratio, lambda r: 1 / r - 1)}" for ratio, name in costing]
        return [listed(rises)] if rises else []
    losses = [f"{name} costs {_change(ratio, lambda r: 1 - r)}" for ratio, name in costing]
    return [f"{listed(losses)} of the {speed.noun}"] if losses else []


def _change(ratio: Figure, of: Callable[[float], float]) -> str:
    """What a ratio below 1 makes of one, in percent."""
    ends = [of(end) for end in ratio.interval or (ratio.value,)]
    return within(Figure(of(ratio.value), (min(ends), max(ends))).percent(), "%")


def _unshown(summary: Summary) -> list[LayerRow]:
    """The layers of whose Shapley value no effect is shown."""
    known = [x for x in summary.layers if x.speed.shapley and x.speed.shapley.interval]
    return [x for x in known if x.speed.shapley and not x.speed.shapley.shows_effect]


def _has_shown_effect(layer: LayerRow) -> bool:
    """Whether the layer does something alone or added last."""
    return any(figure is not None and figure.shows_effect for figure in (layer.speed.alone, layer.speed.last))


def without_effect(summary: Summary) -> Sequence[str]:
    return [layer.name for layer in _unshown(summary) if not _has_shown_effect(layer)]


def _mixed(layer: LayerRow) -> str:
    """Of a layer that does something in some places, and on average nothing that is shown."""
    return (
        f"{layer.name} depends on the other layers: {times_within(layer.speed.alone)} alone, "
        f"{times_within(layer.speed.last)} added last, no measurable effect on average"
    )

"""The trials that figures rest on, and fits of what was measured in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from m2bench.options.run_spec import RunSpec
from m2bench.records.combinations import Layers
from m2bench.records.rules import NO_RULES, Rules
from m2bench.statistics.effects import Effects
from m2bench.statistics.factorial import Observation
from m2bench.statistics.steady import steady_speed
from m2bench.store.stored_trial import StoredTrial

Response = Callable[[StoredTrial], float | None]
"""What is read of a trial; None where it could not be measured."""


def fit(layers: Layers, trials: Iterable[StoredTrial], response: Response, rules: Rules = NO_RULES) -> Effects:
    """The effects of these layers on a response of these trials."""
    values = [(trial.spec, response(trial)) for trial in trials]
    observed = (Observation(t.key, t.layers, t.mini_blocks, value) for t, value in values if value is not None)
    return Effects(layers, observed, rules.among(layers))


def speed_effects(spec: RunSpec, trials: list[StoredTrial]) -> Effects:
    """Fits of the speeds that say what a run's layers are worth."""
    return fit(_layers_that_ran(spec.layers, trials), sound_trials(trials), speed, spec.rules)


def _layers_that_ran(layers: Layers, trials: list[StoredTrial]) -> Layers:
    """All but the layers none of whose trials came out sound: what is left is a smaller design of its own."""
    sound = {layer for trial in sound_trials(trials) for layer in trial.spec.layers}
    tried = {layer for trial in trials if trial.spec.kind == "speed" for layer in trial.spec.layers}
    return tuple(layer for layer in layers if layer in sound or layer not in tried)


def sound_trials(trials: list[StoredTrial]) -> list[StoredTrial]:
    """The speed trials of combinations whose layers were all at work, and that compute what the plain trainer does.

    What computes something else keeps its own row, but says nothing about what a layer is worth.
    """
    counted = counted_trials(group_by_layers(trial for trial in trials if trial.spec.kind == "speed"))
    changed = {t.spec.layers for t in counted if not t.timed.same_numerics}
    return [trial for trial in counted if trial.spec.layers not in changed]


def group_by_layers(trials: Iterable[StoredTrial]) -> dict[Layers, list[StoredTrial]]:
    """The trials of each combination; of one that has none, an empty list."""
    by_layers: dict[Layers, list[StoredTrial]] = defaultdict(list)
    for trial in trials:
        by_layers[trial.spec.layers].append(trial)
    return by_layers


def counted_trials(by_layers: dict[Layers, list[StoredTrial]]) -> list[StoredTrial]:
    """The trials that figures rest on: a toggle that did nothing even once gets no number."""
    engaged = [trials for trials in by_layers.values() if all(trial.status != "not-engaged" for trial in trials)]
    return [trial for trials in engaged for trial in trials if trial.status == "ok"]


def speed(trial: StoredTrial) -> float:
    """Episodes per minute, once the window is steady."""
    return steady_speed(trial.timed)


def energy_j(trial: StoredTrial) -> float | None:
    """Joules of an episode; None too where a coarse counter did not move during a short window."""
    return trial.timed.energy_j_per_episode or None


def peak_memory_mb(trial: StoredTrial) -> float | None:
    """The device allocator's peak where there is one, else that of the trial's process on the host if it is known."""
    return trial.timed.peak_memory_mb.main_mb

"""Which learning trials a run takes, one after the other. Pure: nothing is run, nothing is read.

``full`` trains every combination. ``quick`` makes use of what the numerics checks prove: combinations with equal
episodes per update learn the same from the same episodes, so one of them stands for all, and the fastest is taken. A
layer whose contract allows more than float32's rounding is proved nothing, so it gets a combination of its own.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

from m2bench.options.run_spec import RunSpec
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.results import TrialResult
from m2bench.records.spec import TrialSpec
from m2bench.store.stored_trial import StoredTrial

BUDGET_SHARE = 0.2  # of the run's time, in quick mode; a round is not cut off, so it may become somewhat more
MOST_ROUNDS = 10  # of quick mode
FIRST_ROUND_MAY_USE = 0.8  # of the budget: a trial takes a little longer than its training
ROUND_MAY_TAKE = 1.5  # times the longest round so far
SAME_SIZE = 1.5  # times the episodes per update, where these vary: less is chance


@dataclass(frozen=True)
class Cell:
    """Combinations that learn the same from the same episodes.

    They share their episodes per update and those of their layers that must be told apart.
    """

    episodes_per_update: float
    apart: Layers


@dataclass(frozen=True)
class Cells:
    """To which cell each combination belongs. ``apart``: the layers that are not proved to learn the same."""

    apart: Layers
    episodes_per_update: dict[Layers, float]
    """Of the combinations that were measured."""

    def of(self, layers: Layers) -> Cell | None:
        """The combination's cell; None for one that was not measured."""
        if layers not in self.episodes_per_update:
            return None
        return Cell(self.episodes_per_update[layers], tuple(layer for layer in layers if layer in self.apart))


def make_cells(apart: Layers, trials: list[StoredTrial]) -> Cells:
    """The cells of a run, from its speed trials, with these layers told apart."""
    return Cells(apart, _episodes_per_update(trials))


def _episodes_per_update(trials: list[StoredTrial]) -> dict[Layers, float]:
    """The episodes per update of the measured combinations, as the median over their trials.

    Where they differ from update to update (an episode's steps, say), what lies near the baseline's is the baseline's.
    """
    found: dict[Layers, list[TrialResult]] = defaultdict(list)
    for trial in trials:
        if trial.spec.kind == "speed" and trial.result:
            found[trial.spec.layers].append(trial.timed)
    sizes = {layers: _whole(median(each.units_per_update for each in own)) for layers, own in found.items()}
    if not any(each.has_varying_units for each in found[BASELINE]):
        return sizes
    return {layers: sizes[BASELINE] if _near(size, sizes[BASELINE]) else size for layers, size in sizes.items()}


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _near(size: float, other: float) -> bool:
    return 1 / SAME_SIZE <= size / other <= SAME_SIZE


def learning_trials(spec: RunSpec, exact: Layers, stored: Callable[[], list[StoredTrial]]) -> Iterator[TrialSpec]:
    """The learning trials that are still to run.

    ``exact`` names the layers held to float32's rounding, which are proved to learn the same; ``stored`` gives all
    trials of the run that have ended.

    Each next one is chosen when it is asked for, by what has been stored until then, so that an interrupted run
    continues as it would have gone on.
    """
    if spec.learning == "off":
        return
    apart = tuple(layer for layer in spec.layers if layer not in exact)

    def chosen() -> dict[str, TrialSpec]:
        found = choose_learners(spec, make_cells(apart, stored()), stored())
        return {combination_name(layers): TrialSpec("", layers, 0, 0) for layers in found}

    yield from rounds_of(spec, chosen, stored)


def rounds_of(
    spec: RunSpec, chosen: Callable[[], Mapping[str, TrialSpec]], stored: Callable[[], list[StoredTrial]]
) -> Iterator[TrialSpec]:
    """Rounds of learning trials of what is ``chosen``, by names, each with a seed of its own, while there is time."""
    while (trial := _next_trial(spec, chosen(), stored())) is not None:
        yield trial


def _next_trial(spec: RunSpec, chosen: Mapping[str, TrialSpec], trials: list[StoredTrial]) -> TrialSpec | None:
    rounds = _rounds(trials)
    number = max(rounds, default=1)
    done = rounds.get(number, {})
    if all(name in done for name in chosen):
        if not _another_round_fits(spec, trials, rounds):
            return None
        number, done = number + 1, {}
    waiting = [name for name in chosen if name not in done]
    if spec.learning == "full":
        waiting = random.Random(f"{spec.seed}/learning/{number}").sample(waiting, len(waiting))
    # A trial that does not arrive must end by itself before it would be killed.
    limit_s = spec.trial_timeout_s / 2
    if spec.learning == "quick" and number == 1:
        # The first round has to fit; later ones begin only where they do, and are not cut off.
        limit_s = min(limit_s, FIRST_ROUND_MAY_USE * _budget_left_s(trials) / len(waiting))
    if limit_s <= 0:
        return None
    name = waiting[0]
    return replace(
        chosen[name], key=f"learn{number}.{name}", block=number, seed=spec.seed + number - 1, kind="learning",
        limit_s=limit_s,
    )  # fmt: skip


def choose_learners(spec: RunSpec, cells: Cells, trials: list[StoredTrial]) -> list[Layers]:
    """The combinations that are trained: in full mode all that are sound, in quick mode the fastest of some cells.

    Those are, for each number of episodes per update, the cell with the fewest layers to be told apart; and for
    each such layer one cell that differs from another in this layer alone.
    """
    speeds = sound_speeds(trials)
    if spec.learning == "full":
        return list(speeds)
    fastest: dict[Cell, Layers] = {}
    for layers in sorted(speeds, key=lambda layers: speeds[layers]):  # the fastest last, and kept
        cell = cells.of(layers)
        assert cell is not None
        fastest[cell] = layers
    plainest: dict[float, Cell] = {}
    for cell in sorted(fastest, key=lambda cell: -len(cell.apart)):
        plainest[cell.episodes_per_update] = cell
    chosen = list(plainest.values())
    for layer in cells.apart:
        beside = [Cell(c.episodes_per_update, _with(spec, c.apart, layer)) for c in chosen if layer not in c.apart]
        beside = [cell for cell in beside if cell in fastest]
        chosen += sorted(beside, key=lambda cell: speeds[fastest[cell]])[-1:]
    return sorted((fastest[cell] for cell in set(chosen)), key=lambda layers: -speeds[layers])


def _with(spec: RunSpec, layers: Layers, added: str) -> Layers:
    return tuple(layer for layer in spec.layers if layer in layers or layer == added)


def sound_speeds(trials: list[StoredTrial]) -> dict[Layers, float]:
    """Median episodes per minute of the combinations all of whose speed trials are ok, and none computes otherwise."""
    checked = any_checked(trials)
    speeds: dict[Layers, list[float | None]] = defaultdict(list)
    for trial in trials:
        if trial.spec.kind == "speed":
            sound = trial.status == "ok" and trial.timed.same_numerics and bool(trial.timed.numerics or not checked)
            speeds[trial.spec.layers].append(trial.timed.episodes_per_min if sound else None)
    return {
        layers: median(speed for speed in found if speed is not None)
        for layers, found in speeds.items()
        if None not in found
    }


def any_checked(trials: list[StoredTrial]) -> bool:
    """Whether the system offers to compare what a combination computes: any trial was checked."""
    return any(isinstance(trial.result, TrialResult) and trial.result.numerics for trial in trials)


def _rounds(trials: list[StoredTrial]) -> dict[int, dict[str, StoredTrial]]:
    """The learning trials of each round so far, by what is trained."""
    rounds: dict[int, dict[str, StoredTrial]] = {}
    for trial in trials:
        if trial.spec.kind == "learning":
            rounds.setdefault(trial.spec.block, {})[trial.spec.key.partition(".")[2]] = trial
    return rounds


def _another_round_fits(spec: RunSpec, trials: list[StoredTrial], rounds: dict[int, dict[str, StoredTrial]]) -> bool:
    if not rounds:
        return False  # nothing can be trained at all
    if spec.learning == "full":
        return len(rounds) < spec.blocks
    longest_s = max(sum(trial.elapsed_s for trial in done.values()) for done in rounds.values())
    return len(rounds) < MOST_ROUNDS and ROUND_MAY_TAKE * longest_s <= _budget_left_s(trials)


def _budget_left_s(trials: list[StoredTrial]) -> float:
    spent_s = {
        kind: sum(trial.elapsed_s for trial in trials if trial.spec.kind == kind) for kind in ("speed", "learning")
    }
    return BUDGET_SHARE / (1 - BUDGET_SHARE) * spent_s["speed"] - spent_s["learning"]

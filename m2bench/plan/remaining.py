"""Which trials a run has still to do: those of the speed in their order, then learning. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from m2bench.machine.conditions import are_disturbed
from m2bench.options.run_spec import RunSpec
from m2bench.records.description import Description
from m2bench.records.spec import TrialSpec
from m2bench.store.stored_trial import StoredTrial, settled

from .designs import block_trials
from .learners import learning_trials, rounds_of
from .scale_trials import scale_learners


def remaining_trials(
    spec: RunSpec,
    description: Description,
    stored: Callable[[], list[StoredTrial]],
    is_quiet: Callable[[], bool] = lambda: False,
) -> Iterator[TrialSpec]:
    """The trials still to run, by what ``stored`` says has ended; none where the run is finished.

    A speed trial that ran under load is run once more at the end of its block, where ``is_quiet`` says that the load
    has ended. Each trial is chosen when it is asked for, since which ones follow depends on what was measured.
    """
    done = {trial.spec.planned_key for trial in stored()}
    for block in range(1, spec.blocks + 1):
        planned = block_trials(spec, block)
        yield from (trial for trial in planned if trial.key not in done)
        yield from repeated_trials(planned, stored, is_quiet)
    yield from remaining_learning(spec, description, stored)


def remaining_learning(
    spec: RunSpec, description: Description, stored: Callable[[], list[StoredTrial]]
) -> Iterator[TrialSpec]:
    """The learning trials still to run, when those of the speed have ended."""
    if description.workload.target is None or spec.learning == "off" or spec.factors is not None:
        return
    if spec.scale is not None:
        scale = spec.scale
        yield from rounds_of(spec, lambda: scale_learners(scale, settled(stored())), lambda: settled(stored()))
    else:
        exact = tuple(layer.name for layer in description.layers if layer.exact)
        yield from learning_trials(spec, exact, lambda: settled(stored()))


def repeated_trials(
    block: list[TrialSpec], stored: Callable[[], list[StoredTrial]], is_quiet: Callable[[], bool]
) -> Iterator[TrialSpec]:
    """The trials of ``block``, in order, that ran under load, each once, where ``is_quiet`` says that it has ended.

    None when something later has begun: that moment is over.
    """
    last = block[-1]
    while True:
        attempts = stored()
        newest = attempts[-1].spec
        if newest.kind != "speed" or newest.block != last.block:
            return
        repeated = {trial.spec.repeats for trial in attempts}
        waiting = [
            trial.spec
            for trial in attempts
            if trial.spec.block == last.block
            and trial.spec.repeats is None
            and trial.spec.key not in repeated
            and are_disturbed(trial.conditions)
        ]
        if not waiting or not is_quiet():
            return
        # It is tied to what else was run at this moment, not to what it was meant to run beside.
        key = waiting[0].key
        yield replace(waiting[0], key=f"{key}.again", repeats=key, mini_blocks=last.mini_blocks)

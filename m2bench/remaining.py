"""Which trials a run has still to do: those of the speed in their order, then learning and a sweep. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .learning_plan import learning_trials
from .plan import block_trials
from .spec import RunSpec, TrialSpec
from .store import StoredTrial
from .sweep import sweep_trials


def remaining_trials(
    spec: RunSpec, description: dict[str, Any], stored: Callable[[], list[StoredTrial]]
) -> Iterator[TrialSpec]:
    """The trials still to run, by what ``stored`` says has ended; none where the run is finished.

    Each is chosen when it is asked for, since which ones learning and the sweep take depends on what was measured.
    """
    done = {trial.spec.key for trial in stored()}
    for block in range(1, spec.blocks + 1):
        yield from (trial for trial in block_trials(spec, block) if trial.key not in done)
    if description["workload"]["target"] is not None:
        exact = tuple(layer["name"] for layer in description["layers"] if layer["exact"])
        yield from learning_trials(spec, exact, stored)
    yield from sweep_trials(spec, stored())
